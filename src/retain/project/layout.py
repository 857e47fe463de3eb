"""The paths of a problem's files in a project."""

from pathlib import Path


class Layout:
    """The paths of one problem, below `root`; with `Path()`, as in dvc.lock.

    Attributes:
        code: the lists of each stage's code, STAGE.txt.
        prepared: the arrays that `prepare` writes.
        models: the model folders, by cell.
        final: the model folder of the refitted model, or a file that says why there is none.
        ledger: the registered models and the decisions about them.
        reports: what `evaluate` and `register` write.
        metrics: all figures of the evaluation, with intervals.
        scores: the few of them that `dvc metrics` and `dvc exp show` list.
        decision: the decision of this clone's registry about the model; not committed.
        summary: the result of a retraining, for a person.
        trials: the prepared data of the trials of `retain tune`; not committed.
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
        self.trials = root / "scratch" / "tune" / name

    def model(self, cell: str) -> Path:
        """Return the model folder of a cell."""
        return self.models / cell

    @property
    def refitted(self) -> Path | None:
        """Return the folder `final`, if there is a model in it."""
        return self.final if (self.final / "config.json").is_file() else None
