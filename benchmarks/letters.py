"""The sample's novels, letter by letter: LSTM, GRU and RNN, at equal letters and equal seconds.

The problem `text` of params.yaml, with another cell, rate, seed or length of training. `letters`:
every cell reads as many letters; each has as many learning rates, and the best by the validation
part is taken. `seconds`: GRU and RNN read as many letters as they can in the processor time of the
LSTM. `quotations`: how well LSTMs trained for longer, or with the gradient going back further, know
that a quotation is open (quotations.py). A training that results/letters.csv has is not done again,
so a run that was stopped goes on.
"""

import argparse
import json
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks import quotations, tables
from retain.config import loader
from retain.kinds.text import dataset, evaluate, prepare, setup
from retain.kinds.text.config import Problem
from retain.training import trainer

ROOT = Path(__file__).parents[1]
CELLS = ("lstm", "gru", "rnn")
PARTS = ("letters", "seconds", "quotations")
# As many for each; without gates a cell needs lower ones.
RATES = {
    "lstm": (0.012, 0.024, 0.048),
    "gru": (0.004, 0.008, 0.016),
    "rnn": (0.002, 0.004, 0.008),
}
CHUNKS = (16, 256)  # letters that a gradient goes back; an update reads as many letters
EPOCH = 100  # updates
SCORED = 50_000  # letters of the test part
KEYS = ["part", "cell", "rate", "seed", "epochs", "chunk"]

NOTES = """\
Mean ± standard deviation over the seeds; bits a letter of the first {scored:,} letters of the
unread novel, read with the state carried from its beginning. An epoch is {updates} updates of
{letters:,} letters, without weight decay. Rates tried, by the validation part with seed 1:
{rates}."""
QUOTATIONS = """\
Area under the ROC curve of the probability of a quotation mark behind `.,!?;`, inside quotations
against outside, so many letters behind the last mark; in brackets without that mark, from style
alone. 0.5 is chance."""


@dataclass(frozen=True)
class Plan:
    """One training of the benchmark."""

    part: str
    cell: str
    rate: float
    seed: int
    epochs: int
    chunk: int = 64

    def problem(self) -> Problem:
        """It as a problem of params.yaml: the sample's, but for what is measured here."""
        sample = loader.load(ROOT)["text"].model_dump(mode="json", by_alias=True)
        training = sample["training"]
        changed = {
            "learning_rate": self.rate,
            "weight_decay": 0.0,
            "seed": self.seed,
            "epoch_steps": EPOCH,
            "max_epochs": self.epochs,
            "cell_epochs": {},
            "chunk": self.chunk,
            "batch_size": training["batch_size"] * training["chunk"] // self.chunk,
        }
        found = loader.parse("text", sample | {"training": training | changed})
        assert isinstance(found, Problem)
        return found


def add_options(parser: argparse.ArgumentParser) -> None:
    """What is trained, and how long."""
    parser.add_argument("--part", choices=PARTS, action="append")
    parser.add_argument("--cell", choices=CELLS, action="append")
    parser.add_argument("--epochs", type=int, default=10, help="of 100 updates")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each cell")


def run(options: argparse.Namespace) -> None:
    """Choose each cell's rate, train every seed, and write the tables."""
    parts = options.part or PARTS
    with tempfile.TemporaryDirectory() as scratch:
        prepared = Path(scratch)
        prepare.prepare(Plan("letters", "lstm", 0.01, 1, 1).problem(), ROOT, prepared)
        for cell in options.cell or CELLS:
            best = _best(cell, options.epochs, prepared)
            plans = []
            if "letters" in parts:
                plans.append(best)
            if "seconds" in parts and cell != "lstm":
                lstm = _best("lstm", options.epochs, prepared)
                seconds = [float(_once(plan, prepared)["cpu_seconds"]) for plan in (lstm, best)]
                epochs = max(1, round(options.epochs * seconds[0] / seconds[1]))
                plans.append(replace(best, part="seconds", epochs=epochs))
            for plan in plans:
                for seed in range(1, options.seeds + 1):
                    _once(replace(plan, seed=seed), prepared)
            if "quotations" in parts and cell == "lstm":
                for plan in growth(best):
                    _once(plan, prepared)
    rows = pd.DataFrame(tables.read("letters"))
    text = report(rows)
    print(text)
    tables.write("letters", rows, text, f"python -m benchmarks letters --epochs {options.epochs}")


def growth(best: Plan) -> list[Plan]:
    """Return longer trainings, and those of other chunks."""
    longer = [replace(best, epochs=best.epochs * times) for times in (1, 4)]
    chunks = [replace(best, chunk=chunk) for chunk in CHUNKS]
    return [replace(plan, part="quotations") for plan in (*longer, *chunks)]


def _best(cell: str, epochs: int, prepared: Path) -> Plan:
    """Train a cell at each rate, and return the plan of the best."""
    plan = Plan("letters", cell, 0.0, 1, epochs)
    tried = [_once(replace(plan, rate=rate), prepared) for rate in RATES[cell]]
    best = min(tried, key=lambda row: float(row["validation_bits"]))
    return replace(plan, rate=float(best["rate"]))


def _once(plan: Plan, prepared: Path) -> dict[str, Any]:
    """Return the row of a plan: what was measured before, or a training, which is written down."""
    keys = {key: getattr(plan, key) for key in KEYS}
    return tables.once("letters", keys, lambda: score(plan, prepared))


def score(plan: Plan, prepared: Path) -> dict[str, Any]:
    """Train one network as the pipeline does, and score it."""
    problem = plan.problem()
    trainer.seed_everything(problem.training)
    began = time.process_time()
    built = setup.build(problem, prepared, plan.cell)  # type: ignore[arg-type]
    trainer.fit(built, problem.training, plan.cell, " ".join(map(str, vars(plan).values())))
    seconds = time.process_time() - began
    network, source = built.network.eval(), dataset.load(prepared)
    assert isinstance(network, setup.LanguageModel)
    bits = {
        f"{part}_bits": float(evaluate.carried(network, source.part(part)[:SCORED])[0].mean())
        for part in ("validation", "test")
    }
    row = vars(plan) | {
        "parameters": built.config["parameters"],
        "cpu_seconds": round(seconds, 1),
        **bits,
    }
    if plan.part == "quotations":
        row |= quotations.measure(network, source)
    print(json.dumps(row), flush=True)
    return row


def report(rows: pd.DataFrame) -> str:
    """Return the tables and what they mean."""
    training = Plan("letters", "lstm", 0.01, 1, 1).problem().training
    notes = NOTES.format(
        scored=SCORED,
        updates=training.epoch_steps,
        letters=training.batch_size * training.chunk,
        rates="; ".join(f"{cell} {', '.join(map(str, RATES[cell]))}" for cell in CELLS),
    )
    kept = rows[[row.rate == best_rate(rows, row.cell) for row in rows.itertuples()]]
    parts = [bits_table(kept), notes]
    if (kept["part"] == "quotations").any():
        parts += [quotations_table(kept), QUOTATIONS]
    return "\n\n".join(parts)


def best_rate(rows: pd.DataFrame, cell: str) -> float:
    """Return the rate that the validation part chose for a cell."""
    tried = rows[(rows["part"] == "letters") & (rows["cell"] == cell) & (rows["seed"] == 1)]
    return float(tried.nsmallest(1, "validation_bits")["rate"].iloc[0])


def bits_table(rows: pd.DataFrame) -> str:
    """A line for each cell and comparison: what it came to over the seeds."""
    lines = []
    scored = rows[rows["part"].isin(["letters", "seconds"])]
    for (part, cell), group in scored.groupby(["part", "cell"], sort=False):
        first, bits, seconds = group.iloc[0], group["test_bits"], group["cpu_seconds"]
        lines.append({
            "equal": part,
            "cell": cell,
            "parameters": f"{first['parameters']:,}",
            "learning rate": f"{first['rate']:g}",
            "epochs": first["epochs"],
            "processor seconds": f"{seconds.min():.0f}–{seconds.max():.0f}",
            "seeds": len(group),
            "bits a letter, test": mean(bits, ".3f"),
            "of each seed": ", ".join(f"{value:.3f}" for value in bits),
        })  # fmt: skip
    return tables.markdown(pd.DataFrame(lines))


def quotations_table(rows: pd.DataFrame) -> str:
    """A line for each cell, length of training and chunk."""
    lines = []
    for _, row in rows[rows["part"] == "quotations"].iterrows():
        areas = {
            f"{distance} letters": f"{row[f'auc_{distance}']:.2f} ({row[f'style_{distance}']:.2f})"
            for distance in quotations.DISTANCES
        }
        shown = {name: row[name] for name in ("cell", "epochs", "chunk")}
        lines.append(shown | {"bits": f"{row['test_bits']:.3f}"} | areas)
    return tables.markdown(pd.DataFrame(lines))


def mean(values: pd.Series, digits: str) -> str:
    """Return the mean of several, and their standard deviation."""
    spread = f" ± {values.std():{digits}}" if len(values) > 1 else ""
    return f"{values.mean():{digits}}{spread}"
