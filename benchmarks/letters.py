"""The sample's novels, letter by letter: LSTM, GRU and RNN, at equal letters and equal seconds.

The problem `text` of params.yaml, with another cell, rate, seed or length of training. Each cell
has as many learning rates; the best by the validation part, after half of the letters, is
taken. `letters`: every cell reads as many letters. `seconds`: GRU and RNN read as many as they can
in the processor time of the LSTM. `quotations`: how well LSTMs trained for longer, or with the
gradient going back further, know that a quotation is open (quotations.py). A training that
results/letters.csv has is not done again, so a run that was stopped goes on.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
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
PARTS = ("rates", "letters", "seconds", "quotations")
# As many for each; without gates a cell needs lower ones.
RATES = {
    "lstm": (0.006, 0.012),
    "gru": (0.004, 0.008),
    "rnn": (0.001, 0.002),
}
CHUNKS = (16, 64, 256)  # letters that a gradient goes back; an update reads as many letters
KEYS = ["part", "cell", "rate", "seed", "epochs", "chunk"]
RESULTS = tables.RESULTS / "letters.csv"

NOTES = """\
Mean ± standard deviation over the seeds; bits a letter of the unread novel, read once with the
state carried from its beginning to its end. An epoch is {updates} updates of {letters:,} letters.
Rates tried, by the validation part with seed 1: {rates}."""
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
            "seed": self.seed,
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
    parser.add_argument("--epochs", type=int, default=6, help="of 500 updates")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each cell")


def run(options: argparse.Namespace) -> None:
    """Choose each cell's rate, train every seed, and write the tables."""
    parts = options.part or PARTS
    with tempfile.TemporaryDirectory() as scratch:
        prepared = Path(scratch)
        prepare.prepare(Plan("letters", "lstm", 0.01, 1, 1).problem(), ROOT, prepared)
        for cell in options.cell or CELLS:
            best = _best(cell, options.epochs, prepared)
            if "letters" in parts:
                for seed in range(1, options.seeds + 1):
                    _once(replace(best, seed=seed), prepared)
            if "seconds" in parts and cell != "lstm":
                epochs = _equal(best, _best("lstm", options.epochs, prepared), prepared)
                for seed in range(1, options.seeds + 1):
                    _once(replace(best, part="seconds", seed=seed, epochs=epochs), prepared)
            if "quotations" in parts and cell == "lstm":
                for plan in growth(best):
                    _once(plan, prepared)
    rows = pd.DataFrame(_rows())
    text = report(rows)
    print(text)
    tables.write("letters", rows, text, f"python -m benchmarks letters --epochs {options.epochs}")


def growth(best: Plan) -> list[Plan]:
    """Return shorter trainings, and those of other chunks."""
    shorter = [replace(best, epochs=max(1, best.epochs // part)) for part in (6, 3, 1)]
    chunks = [replace(best, chunk=chunk) for chunk in CHUNKS]
    return [replace(plan, part="quotations") for plan in dict.fromkeys([*shorter, *chunks])]


def _best(cell: str, epochs: int, prepared: Path) -> Plan:
    """Try the rates of a cell, and return its whole training with the best."""
    plan = Plan("rates", cell, 0.0, 1, max(1, epochs // 2))
    tried = [_once(replace(plan, rate=rate), prepared) for rate in RATES[cell]]
    best = min(tried, key=lambda row: float(row["validation_bits"]))
    return replace(plan, part="letters", rate=float(best["rate"]), epochs=epochs)


def _equal(plan: Plan, lstm: Plan, prepared: Path) -> int:
    """Return the epochs of a cell in the processor time of the LSTM, by their first trainings."""
    own, theirs = (
        float(_once(replace(each, part="rates", epochs=max(1, lstm.epochs // 2)), prepared)[key])
        for each, key in ((plan, "cpu_seconds"), (lstm, "cpu_seconds"))
    )
    return max(1, round(lstm.epochs * theirs / own))


def _rows() -> Iterator[dict[str, Any]]:
    """Read the rows that were measured."""
    if RESULTS.is_file():
        yield from pd.read_csv(RESULTS).to_dict("records")  # type: ignore[misc]


def _once(plan: Plan, prepared: Path) -> dict[str, Any]:
    """Return the row of a plan: what was measured before, or a training, which is written down."""
    for row in _rows():
        if all(row[key] == getattr(plan, key) for key in KEYS):
            return row
    row = score(plan, prepared)
    rows = pd.DataFrame([*_rows(), row])
    RESULTS.parent.mkdir(exist_ok=True)
    rows.to_csv(RESULTS, index=False, float_format="%.6g", lineterminator="\n")
    return row


def score(plan: Plan, prepared: Path) -> dict[str, Any]:
    """Train one network as the pipeline does, and score it; rates by the validation part alone."""
    problem = plan.problem()
    trainer.seed_everything(problem.training)
    began = time.process_time()
    built = setup.build(problem, prepared, plan.cell)  # type: ignore[arg-type]
    trainer.fit(built, problem.training, plan.cell, " ".join(map(str, vars(plan).values())))
    seconds = time.process_time() - began
    network, source = built.network.eval(), dataset.load(prepared)
    assert isinstance(network, setup.LanguageModel)
    row = vars(plan) | {
        "parameters": built.config["parameters"],
        "cpu_seconds": round(seconds, 1),
        "validation_bits": _bits(network, source, "validation"),
    }
    if plan.part != "rates":
        row |= {"test_bits": _bits(network, source, "test")} | quotations.measure(network, source)
    print(json.dumps(row), flush=True)
    return row


def _bits(network: setup.LanguageModel, source: dataset.Corpus, part: str) -> float:
    return float(evaluate.carried(network, source.part(part))[0].mean())


def report(rows: pd.DataFrame) -> str:
    """Return the tables and what they mean."""
    training = Plan("letters", "lstm", 0.01, 1, 1).problem().training
    notes = NOTES.format(
        updates=training.epoch_steps,
        letters=training.batch_size * training.chunk,
        rates="; ".join(f"{cell} {', '.join(map(str, RATES[cell]))}" for cell in CELLS),
    )
    return "\n\n".join((bits_table(rows), notes, quotations_table(rows), QUOTATIONS))


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
    scored = rows[rows["part"] != "rates"].drop_duplicates(KEYS[1:])
    for (cell, epochs, chunk), group in scored.groupby(["cell", "epochs", "chunk"], sort=False):
        areas = {
            f"{distance} letters": f"{mean(group[f'auc_{distance}'], '.2f')} "
            f"({group[f'style_{distance}'].mean():.2f})"
            for distance in quotations.DISTANCES
        }
        shown = {"cell": cell, "epochs": epochs, "chunk": chunk, "seeds": len(group)}
        lines.append(shown | {"bits": f"{group['test_bits'].mean():.3f}"} | areas)
    return tables.markdown(pd.DataFrame(lines))


def mean(values: pd.Series, digits: str) -> str:
    """Return the mean of several, and their standard deviation."""
    spread = f" ± {values.std():{digits}}" if len(values) > 1 else ""
    return f"{values.mean():{digits}}{spread}"
