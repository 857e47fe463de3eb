"""Compare what `retain plan` predicts from a small table with what `benchmarks scale` measured.

python -m benchmarks.scale_plan [--base pool]
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from benchmarks import scale_stages, tables
from retain.kinds.forecast.capacity import measure
from retain.kinds.forecast.config import Problem

SERIES = 10_000  # of the table that the costs are measured on


def main() -> None:
    """Measure the costs, and print prediction and measurement of every size, in Markdown."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--base", choices=["none", "pool"], default="none", help="of the network")
    base = parser.parse_args().base
    with TemporaryDirectory() as folder:
        root = Path(folder)
        scale_stages.generate(root, "parquet", SERIES)
        name = scale_stages.name_of("parquet")
        problem = Problem.model_validate(scale_stages.problem(name, base=base))
        costs, _ = measure.costs(problem, root, root / "plan")
    file = "scale.csv" if base == "none" else f"scale-{base}.csv"
    found = pd.read_csv(tables.RESULTS / file)
    found = found[(found["format"] == "parquet") & (found["series"] > SERIES)]
    rows = []
    for series, of in found.groupby("series"):
        count, lowest = float(str(series)), of.min(numeric_only=True)
        work = {stage: costs.work[stage] for stage in ("prepare", "evaluate", "forecast")}
        size = scale_stages.BATCH
        pairs = {
            "prepare, s": (
                work["prepare"].each * count,
                lowest["prepare_cpu_microseconds_per_row"] * lowest["rows"] / 1e6,
            ),
            "train, set-up, s": (
                costs.set_up(count),
                lowest.get("build_cpu_milliseconds_per_series", float("nan")) * count / 1e3,
            ),
            "train, µs a window": (
                (costs.update.at(size)) / size * 1e6,
                lowest["train_cpu_microseconds_per_window"],
            ),
            "evaluate, s": (
                work["evaluate"].each * count,
                lowest["evaluate_cpu_microseconds_per_window"] * lowest["test_windows"] / 1e6,
            ),
            "forecast, s": (
                work["forecast"].each * count,
                lowest["forecast_cpu_milliseconds_per_series"] * count / 1e3,
            ),
        }
        for stage in ("prepare", "train", "evaluate", "forecast"):
            peak = float(of[f"{stage}_peak_anonymous_mb"].max())
            predicted = costs.memory[stage].at(count) / scale_stages.MB
            pairs[f"{stage}, anonymous MB"] = predicted, peak
        pairs["prepared data, MB"] = (
            costs.disk["prepared data"].at(count) / scale_stages.MB,
            lowest["prepared_mb"],
        )
        rows += [
            {
                "series": f"{count:,.0f}",
                "of": name,
                "planned": f"{predicted:,.1f}",
                "measured": f"{measured:,.1f}",
                "planned / measured": f"{predicted / measured:.2f}",
            }
            for name, (predicted, measured) in pairs.items()
            if pd.notna(measured)  # a row of a version that did not measure it
        ]
    print(tables.markdown(pd.DataFrame(rows)))


if __name__ == "__main__":
    main()
