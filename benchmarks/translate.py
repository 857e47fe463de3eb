"""German and French to English: LSTM, GRU and RNN of one size, with attention and without.

German is the sample's own table; `--data` holds language/tatoeba_fra_eng_60k.tsv.gz (French TAB
English; tatoeba.org by way of www.manythings.org/anki). Every cell makes as many updates. Its
learning rate is that of the least validation loss of whole trainings, among as many for each cell:
short ones choose rates that are too high. A training that results/translate.csv has is
not done again, so a run that was stopped goes on.
"""

import argparse
import json
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks import tables
from retain.config import loader
from retain.kinds.translate import beam_search, dataset, prepare, setup
from retain.kinds.translate.config import Problem
from retain.kinds.translate.metrics import Translations
from retain.kinds.translate.network import Translator
from retain.training import trainer

ROOT = Path(__file__).parents[1]
CELLS = ("lstm", "gru", "rnn")
# As many for each; without gates a cell diverges at rates that the gated ones need.
RATES = {
    "lstm": (0.003, 0.006, 0.012),
    "gru": (0.002, 0.004, 0.008),
    "rnn": (0.0005, 0.001, 0.002),
}
LANGUAGES = {
    "German": {"path": "data/raw/tatoeba_deu_eng.tsv.gz", "max_words": 8, "pieces": 2200},
    "French": {"path": "language/tatoeba_fra_eng_60k.tsv.gz", "max_words": 12, "pieces": 4000},
}
KEYS = ["language", "attention", "cell", "rate", "seed", "epochs"]

NOTES = """\
Test part: {test} sentences, no sentence of which is in another part. Mean ± standard deviation over
the seeds, beam of 5. Every network of a language has the parameters of the first within 1 %, and
makes as many updates of {sentences} sentences. Rates tried for each cell with the first seed, the
best by the validation loss: {rates}."""


@dataclass(frozen=True)
class Plan:
    """One training of the benchmark."""

    language: str
    attention: str
    cell: str
    rate: float
    seed: int
    epochs: int

    def problem(self) -> Problem:
        """It as a problem of params.yaml: the sample's, but for what is measured here."""
        sample = loader.load(ROOT)["translate"].model_dump(mode="json", by_alias=True)
        data = sample["data"] | {"languages": [self.language, "English"]}
        entry = sample | {
            "data": data | LANGUAGES[self.language],
            "model": sample["model"] | {"attention": self.attention},
            "training": sample["training"]
            | {"learning_rate": self.rate, "seed": self.seed, "max_epochs": self.epochs},
        }
        found = loader.parse("translate", entry)
        assert isinstance(found, Problem)
        return found


def add_options(parser: argparse.ArgumentParser) -> None:
    """What is trained, and how long."""
    parser.add_argument("--language", choices=list(LANGUAGES), action="append")
    parser.add_argument("--attention", choices=["dot", "none"], action="append")
    parser.add_argument("--cell", choices=CELLS, action="append")
    parser.add_argument("--epochs", type=int, default=16, help="of 200 updates")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each cell")


def run(options: argparse.Namespace) -> None:
    """Choose each cell's rate, train every seed, and write the table."""
    with tempfile.TemporaryDirectory() as scratch:
        for language in options.language or LANGUAGES:
            prepared = Path(scratch, language)
            prepared.mkdir()
            first = Plan(language, "dot", "lstm", RATES["lstm"][0], 1, options.epochs)
            root = ROOT if language == "German" else options.data
            prepare.prepare(first.problem(), root, prepared)
            for attention in options.attention or ("dot", "none"):
                for cell in options.cell or CELLS:
                    plan = replace(first, attention=attention, cell=cell)
                    _measure(plan, options.seeds, prepared)
    rows = pd.DataFrame(tables.read("translate"))
    sample = Plan("German", "dot", "lstm", RATES["lstm"][0], 1, 1).problem()
    notes = NOTES.format(
        test=f"{sample.data.test:,}",
        sentences=sample.training.sentences,
        rates="; ".join(f"{cell} {', '.join(map(str, RATES[cell]))}" for cell in CELLS),
    )
    text = f"{table(rows)}\n\n{notes}"
    print(text)
    tables.write(
        "translate", rows, text, f"python -m benchmarks translate --epochs {options.epochs}"
    )


def _measure(plan: Plan, seeds: int, prepared: Path) -> None:
    """Try the rates of a cell, and train every seed with the best."""
    tried = [_once(replace(plan, rate=rate), prepared) for rate in RATES[plan.cell]]
    best = min(tried, key=lambda row: float(row["validation_loss"]))
    for seed in range(2, seeds + 1):
        _once(replace(plan, rate=float(best["rate"]), seed=seed), prepared)


def _once(plan: Plan, prepared: Path) -> dict[str, Any]:
    """Return the row of a plan: what was measured before, or a training, which is written down."""
    keys = {key: getattr(plan, key) for key in KEYS}
    return tables.once("translate", keys, lambda: score(plan, prepared))


def score(plan: Plan, prepared: Path) -> dict[str, Any]:
    """Train one network as the pipeline does, and translate the test part."""
    problem = plan.problem()
    trainer.seed_everything(problem.training)
    began = time.process_time()
    built = setup.build(problem, prepared, plan.cell)  # type: ignore[arg-type]
    history = trainer.fit(
        built, problem.training, plan.cell, " ".join(map(str, vars(plan).values()))
    )
    seconds = time.process_time() - began
    corpus, network = dataset.load(prepared), built.network.eval()
    assert isinstance(network, Translator)
    pairs = corpus.part("test")
    best = beam_search.translate_all(network, corpus, pairs, problem.evaluation.beam)
    written = [corpus.schema.target.join(best[pair].pieces) for pair in pairs.tolist()]
    scores = Translations.measure(written, [corpus.pairs[pair].target for pair in pairs]).scores()
    row = vars(plan) | {
        "parameters": built.config["parameters"],
        "updates": history[-1].step,
        "cpu_seconds": round(seconds, 1),
        "validation_loss": min(epoch.validation_loss for epoch in history),
        **{name: scores[name] for name in ("chrf", "bleu", "exact")},
    }
    print(json.dumps(row), flush=True)
    return row


def table(rows: pd.DataFrame) -> str:
    """A line for each language, attention and cell: what it came to over the seeds."""
    lines = []
    for (language, attention, cell), tried in rows.groupby(KEYS[:3], sort=False):
        best = tried[tried["seed"] == 1].nsmallest(1, "validation_loss").iloc[0]
        group = tried[tried["rate"] == best["rate"]]
        first, seconds = group.iloc[0], group["cpu_seconds"]
        lines.append({
            "from": language,
            "attention": "yes" if attention == "dot" else "no",
            "cell": cell,
            "parameters": f"{first['parameters']:,}",
            "learning rate": f"{first['rate']:g}",
            "updates": f"{first['updates']:,}",
            "processor seconds": f"{seconds.min():.0f}–{seconds.max():.0f}",
            "seeds": len(group),
            **{
                label: f"{group[name].mean():.1f}"
                + (f" ± {group[name].std():.1f}" if len(group) > 1 else "")
                for name, label in (("chrf", "chrF"), ("bleu", "BLEU"), ("exact", "exact, %"))
            },
        })  # fmt: skip
    return tables.markdown(pd.DataFrame(lines))
