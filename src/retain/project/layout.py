"""Where the files of a problem lie in a project."""

from pathlib import Path


class Layout:
    """The paths of one problem: below `root`, or as dvc.lock writes them where that is `Path()`.

    Attributes:
        code: the lists of what each stage runs, STAGE.txt.
        prepared: the arrays that `prepare` writes.
        models: the model folders, by cell.
        final: the model folder of the refitted model, or a sentence why there is none.
        ledger: which models were registered, and what was decided about them.
        reports: what `evaluate` and `register` write.
        metrics: all figures of the evaluation, with intervals.
        scores: the few of them that `dvc metrics` and `dvc exp show` list.
        decision: what the registry of this clone did with the model; in no commit.
        summary: what came of a retraining, for a person.
    """

    def __init__(self, root: Path, name: str):
        self.root, self.name = root, name
        self.code = root / "data" / "code" / name
        self.prepared = root / "data" / "prepared" / name
        self.models = root / "models" / name
        self.final = self.models / "final"
        self.ledger = self.models / "ledger.csv"
        self.reports = root / "reports" / name
        self.metrics = self.reports / "metrics.json"
        self.scores = self.reports / "scores.json"
        self.verdict = self.reports / "verdict.json"
        self.decision = self.reports / "decision.json"
        self.summary = self.reports / "retrain.md"

    def model(self, cell: str) -> Path:
        """The model folder of a cell."""
        return self.models / cell

    @property
    def refitted(self) -> Path | None:
        """The folder `final`, if there is a model in it."""
        return self.final if (self.final / "config.json").is_file() else None
