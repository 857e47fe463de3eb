"""The results of the benchmark `ordinary` as tables of Markdown."""

import numpy as np
import pandas as pd

from benchmarks import tables
from benchmarks.ordinary import peers

OURS = ("retain lstm", "retain gru", "retain rnn", "retain lstm_alone", "retain pool")
WIDE = 8  # tables, at most, that have a column each


def write(section: str, rows: pd.DataFrame, splits: dict[str, str], command: str) -> None:
    """Write the CSV file and the section."""
    means = (
        rows.fillna({"preset": "–"})
        .groupby(["model", "preset", "table"], sort=False)
        .mean(numeric_only=True)
        .reset_index()
    )
    names = list(splits)
    sentences = "\n".join(f"* `{name}`: {sentence}" for name, sentence in splits.items())
    best = (
        "the best of AutoETS, theta, MSTL and LightGBM with and without differences, picked in "
        "hindsight on the test part:"
    )
    if len(names) > WIDE:
        parts = [
            f"MASE / share of truths within the 80 % interval / MASE ÷ MASE of {best}",
            tables.markdown(ratios(means, names, alone=False)),
            sentences,
        ]
    else:
        parts = [
            "MASE / share of truths within the 80 % interval / CPU seconds, means over seeds:",
            tables.markdown(_scores(means, names)),
            sentences,
            f"MASE of retain ÷ MASE of {best}",
            tables.markdown(ratios(means, names)),
        ]
    text = "\n\n".join(parts)
    print(text)
    tables.write(section, rows, text, command)


def _scores(means: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    lines = []
    order = means.drop_duplicates(["model", "preset"])[["model", "preset"]]
    ours = order["model"].str.startswith("retain ")
    for model, preset in pd.concat([order[ours], order[~ours]]).itertuples(index=False):
        of_model = means[(means["model"] == model) & (means["preset"] == preset)]
        of_model = of_model.set_index("table")
        label = model if preset in ("–", "added") else f"{model}, `{preset}`"
        cells = {
            name: _cell(of_model.loc[name]) if name in of_model.index else "–" for name in names
        }
        lines.append({"model": label} | cells)
    return pd.DataFrame(lines)


def _cell(row: "pd.Series[float]") -> str:
    return _joined((row["mase"], ".3f"), (row["coverage_80"], ".2f"), (row["cpu_seconds"], ".1f"))


def _joined(*figures: tuple[float, str]) -> str:
    return " / ".join(f"{value:{form}}" if np.isfinite(value) else "–" for value, form in figures)


def ratios(means: pd.DataFrame, names: list[str], alone: bool = True) -> pd.DataFrame:
    """Return a line a table: the best peer, and retain's MASE as a multiple of its MASE.

    Args:
        alone: the multiple without retain's own MASE and coverage before it.
    """
    lines = []
    collected: dict[str, list[float]] = {}
    for name in names:
        of_table = means[means["table"] == name]
        of_peers = of_table[of_table["model"].isin(peers.RIVALS)].set_index("model")["mase"]
        if of_peers.empty:
            continue
        line = {"table": name, "best peer": str(of_peers.idxmin()), "MASE": f"{of_peers.min():.3f}"}
        for model in OURS:
            for row in of_table[of_table["model"] == model].to_dict("records"):
                preset, ratio = row["preset"], row["mase"] / of_peers.min()
                label = model if preset == "added" else f"{model}, `{preset}`"
                collected.setdefault(label, []).append(ratio)
                own = () if alone else ((row["mase"], ".3f"), (row["coverage_80"], ".2f"))
                line[label] = _joined(*own, (ratio, ".3f"))
        lines.append(line)
    last = {"table": "geometric mean", "best peer": "", "MASE": ""}
    means_of = {label: f"{np.exp(np.mean(np.log(r))):.3f}" for label, r in collected.items()}
    return pd.DataFrame([*lines, last | means_of]).fillna("–")
