"""How a model and its baselines forecast the test windows, as frames."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import pandas as pd

from retain.errors import DataError
from retain.evaluation.results import Interval, Metrics, read_metrics
from retain.words import did_you_mean

METRICS, REPORT, FIGURES = "metrics.json", "report.html", "figures"


class Svg(str):
    """The text of an SVG figure, which a notebook shows."""

    def _repr_svg_(self) -> str:
        return str(self)


@dataclass(frozen=True)
class Evaluation:
    """How a model and its baselines forecast the test windows.

    Attributes:
        scores: a row for each model, by name; a column for each score (see docs/verdict.md).
        differences: a row for each pair of models and score: `first`, `second`, `score`, `value`
            (of the first minus the second), `low` and `high` of the 95 % interval, `judgement`.
        report: the report as one HTML page.
        passed: whether the model passes its gate: that of params.yaml in a project; of
            `retain.train`, the gate that `retain add` would write.
        figures: the figures of the report, as SVG text by name.
    """

    scores: pd.DataFrame
    differences: pd.DataFrame
    report: str
    passed: bool
    figures: dict[str, str] = field(default_factory=dict, repr=False)

    def _repr_html_(self) -> str:
        """Show the scores in a notebook."""
        return str(self.scores.to_html(float_format="{:.4g}".format))

    def plot(self, name: str = "") -> Svg:
        """Return a figure of the report, which a notebook shows.

        Args:
            name: one of `figures`; by default the errors by step, or the first figure.

        Raises:
            DataError: the report has no such figure; the error names those that it has.
        """
        if not name and self.figures:
            name = "error_by_step" if "error_by_step" in self.figures else next(iter(self.figures))
        if name not in self.figures:
            raise DataError(f"no figure `{name}`{did_you_mean(name, list(self.figures))}")
        return Svg(self.figures[name])

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Read a folder with the files of an evaluation; None if it has none.

        It is a model folder of `retain.train`, or the folder of a problem's reports.
        """
        path = folder / METRICS
        if not path.is_file():
            return None
        metrics = read_metrics(path)
        verdict = folder / "verdict.json"
        figures = sorted(folder.glob(f"{FIGURES}/*.svg"))
        judged = json.loads((verdict if verdict.is_file() else path).read_text(encoding="utf-8"))
        return cls(
            _scores(metrics),
            _differences(metrics),
            (folder / REPORT).read_text(encoding="utf-8"),
            bool(judged.get("passed", False)),
            {path.stem: path.read_text(encoding="utf-8") for path in figures},
        )


def _scores(metrics: Metrics) -> pd.DataFrame:
    frame = pd.DataFrame.from_dict(dict(metrics["models"]), orient="index")
    frame.index.name = "model"
    return frame


def _differences(metrics: Metrics) -> pd.DataFrame:
    rows = []
    for pair, by_score in metrics["differences"].items():
        first, _, second = pair.partition("_minus_")
        for score, difference in by_score.items():
            interval = Interval.from_dict(difference)
            rows.append(
                {
                    "first": first,
                    "second": second,
                    "score": score,
                    **interval.figures,
                    "judgement": interval.judgement,
                }
            )
    return pd.DataFrame(rows)
