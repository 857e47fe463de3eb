"""How a model and its baselines forecast the test windows, as frames."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pandas as pd

from retain.evaluation.results import Interval, Metrics, read_metrics

METRICS, REPORT = "metrics.json", "report.html"


@dataclass(frozen=True)
class Evaluation:
    """How a model and its baselines forecast the test windows.

    Attributes:
        scores: a row for each model, by name; a column for each score (see docs/verdict.md).
        differences: a row for each pair of models and score: `first`, `second`, `score`, `value`
            (of the first minus the second), `low` and `high` of the 95 % interval, `judgement`.
        report: the report as one HTML page.
        passed: whether the model passes the gate that `retain add` would write.
    """

    scores: pd.DataFrame
    differences: pd.DataFrame
    report: str
    passed: bool

    def _repr_html_(self) -> str:
        """Show the scores in a notebook."""
        return str(self.scores.to_html(float_format="{:.4g}".format))

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Read what `train` wrote into a model folder; None where it has no evaluation."""
        path = folder / METRICS
        if not path.is_file():
            return None
        metrics = read_metrics(path)
        page = (folder / REPORT).read_text(encoding="utf-8")
        passed = bool(json.loads(path.read_text(encoding="utf-8"))["passed"])
        return cls(_scores(metrics), _differences(metrics), page, passed)


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
