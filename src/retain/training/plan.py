"""The networks to train for one cell of a problem: its folds, and its recipes for comparison."""

from dataclasses import dataclass
from pathlib import Path

from retain.config.kind import AnyKind
from retain.config.schema import Cell, Problem
from retain.evaluation import choice
from retain.training import trainer
from retain.training.setup import TrainingSetup


@dataclass(frozen=True)
class Planned:
    """One network of a cell: the recipe `beside` (empty for the main one) and the fold."""

    beside: str
    fold: int

    def folder(self, base: Path) -> Path:
        """Return its path in a cell's folder."""
        return choice.fold_folder(base / self.beside, self.fold)

    def label(self, name: str, cell: Cell, folds: int) -> str:
        """Return its name in lines of progress."""
        return " ".join(filter(None, [name, cell, self.beside])) + (
            f", fold {self.fold} of {folds}" if folds > 1 else ""
        )

    def build(
        self,
        kind: AnyKind,
        problem: Problem,
        prepared: Path,
        cell: Cell,
        parent: Path | None = None,
    ) -> TrainingSetup:
        """Build its training; seeds are set first, so that the weights are always the same.

        Args:
            parent: the model folder to start from; random weights if None.
        """
        recipe = problem.beside[self.beside] if self.beside else problem
        trainer.seed_everything(recipe.training)
        if self.fold == 1 or kind.fold is None:
            setup = kind.training.load(recipe, prepared, cell)
        else:
            setup = kind.fold.load(recipe, prepared, cell, self.fold)
        setup.warm(parent, recipe.training.parents.get(cell))
        return setup


def plan(problem: Problem) -> list[Planned]:
    """Return the networks of each cell of a problem, in the order in which they are trained."""
    folds = range(1, problem.folds + 1)
    return [Planned(beside, fold) for beside in ("", *problem.beside) for fold in folds]
