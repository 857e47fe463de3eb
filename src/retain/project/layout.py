"""Where the files of a problem lie in a project."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Layout:
    """The paths of one problem: below `root`, or as dvc.lock writes them where that is `Path()`."""

    root: Path
    name: str

    @property
    def code(self) -> Path:
        """What each stage runs: the list STAGE.txt."""
        return self.root / "data" / "code" / self.name

    @property
    def prepared(self) -> Path:
        """The arrays that `prepare` writes."""
        return self.root / "data" / "prepared" / self.name

    @property
    def models(self) -> Path:
        """The folder of the model folders."""
        return self.root / "models" / self.name

    def model(self, cell: str) -> Path:
        """The model folder of a cell."""
        return self.models / cell

    @property
    def ledger(self) -> Path:
        """Which models were registered, and what was decided about them."""
        return self.models / "ledger.csv"

    @property
    def reports(self) -> Path:
        """The folder of what `evaluate` and `register` write."""
        return self.root / "reports" / self.name

    @property
    def metrics(self) -> Path:
        """The scores of every model."""
        return self.reports / "metrics.json"

    @property
    def verdict(self) -> Path:
        """What the quality gate says of the model."""
        return self.reports / "verdict.json"

    @property
    def decision(self) -> Path:
        """What the registry of this clone did with the model; in no commit."""
        return self.reports / "decision.json"

    @property
    def summary(self) -> Path:
        """What came of a retraining, for a person."""
        return self.reports / "retrain.md"
