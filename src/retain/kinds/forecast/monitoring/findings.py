"""What logged forecasts were worth: as tables, as JSON, as metrics of Prometheus and as a page."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from retain.config.monitoring import Promise
from retain.evaluation import bootstrap
from retain.evaluation.report import Figure, Report, Table
from retain.evaluation.results import Drift, DriftFindings, Interval
from retain.kinds.forecast.config import Data
from retain.kinds.forecast.evaluation.metrics import COMPARED, MEASURES, MetricSums

METRICS = ("mae", "mase", "wape", "bias", "coverage_80")
TITLES = {"mae": "MAE", "mase": "MASE", "wape": "WAPE", "bias": "bias", "coverage_80": "80 %"}
DRAWS, SEED = 1000, 1  # of the bootstrap
SHOWN = 14  # periods of a version in a table; JSON and page have all
PARTS = ("newest", "all")

Period = tuple[int, str, dict[str, float], int]  # version, first day, scores, values


@dataclass(frozen=True)
class Scored:
    """The sums of a version's errors, and what was promised of it.

    The sums are complete before `judged` or `rows` is read, which are computed once.
    """

    version: int
    md5: str
    promise: Promise | None
    all: MetricSums
    newest: MetricSums  # of the forecasts of the newest part

    def promised(self, metric: str) -> float:
        """Return what the evaluation found; NaN where nothing is recorded."""
        return float(self.promise.metrics.get(metric, math.nan)) if self.promise else math.nan

    @cached_property
    def rows(self) -> dict[str, dict[str, Any]]:
        """The figures of each part that has forecasts."""
        return {part: self._row(part) for part in PARTS if getattr(self, part).by_window}

    @cached_property
    def judged(self) -> str:
        """The error that is judged: MASE, or MAE where there is no scale or nothing promised."""
        found = self.newest.scores()["mase"], self.promised("mase")
        return "mase" if np.isfinite(found).all() else "mae"

    def versus(self, part: str) -> Interval:
        """Subtract the promised error from the one that came, with its 95 % interval.

        The interval is that of the error that came, by the method of the evaluation. Origins
        without a forecast are left out.
        """
        sums: MetricSums = getattr(self, part)
        metric = self.judged
        measure = MEASURES.index(COMPARED[metric])
        by_origin, by_series = sums.by_origin[:, measure], sums.by_series[:, measure]
        used = np.flatnonzero(by_origin[1])
        promised = self.promised(metric)
        both = [
            np.concatenate([found, np.stack([promised * found[1], found[1]])])
            for found in (by_origin[:, used], by_series)
        ]
        overlap = _overlap(used, sums.by_step.shape[2])
        if not len(used) or math.isnan(promised):
            return Interval.undecided(math.nan, len(used), bootstrap.FEWEST_HORIZONS * overlap, "")
        return bootstrap.difference(both[0], both[1], overlap, 2 * overlap, DRAWS, SEED)

    def coverage_by_chance(self, part: str) -> float:
        """Return the random deviation (95 %) of the share within the 80 % interval."""
        sums: MetricSums = getattr(self, part)
        measure = MEASURES.index("covered")
        used = np.flatnonzero(sums.by_origin[1, measure])
        if not len(used):
            return math.nan
        hits, counts = sums.by_origin[:, measure, used]
        overlap = _overlap(used, sums.by_step.shape[2])
        return float(bootstrap.share_by_chance(hits[None], counts, overlap, np.array([0.8]))[0])

    def _row(self, part: str) -> dict[str, Any]:
        """Return the figures of a part, `all` or `newest`."""
        sums: MetricSums = getattr(self, part)
        scores, versus = sums.scores(), self.versus(part)
        by_chance = self.coverage_by_chance(part)
        low = scores["coverage_80"] + by_chance < self.promised("coverage_80")
        return {
            "version": self.version,
            "md5": self.md5,
            "part": part,
            "forecasts": sum(map(len, sums.by_window)),
            "values": int(sums.by_origin[1, 0].sum()),
            **{metric: scores[metric] for metric in METRICS},
            "coverage_by_chance": by_chance,
            "promised": {metric: self.promised(metric) for metric in METRICS},
            "judged": self.judged,
            "versus": versus.to_dict(),
            "judgement": versus.judgement,
            "coverage_is_low": low,
        }


def by_number(versions: Sequence[Scored]) -> list[Scored]:
    """Return the versions that their number names: of several models that one with a promise."""
    numbers = Counter(scored.version for scored in versions)
    return [
        scored for scored in versions if scored.promise is not None or numbers[scored.version] == 1
    ]


def _overlap(used: "np.ndarray[Any, np.dtype[np.int64]]", horizon: int) -> int:
    """Return how many origins, at most, are less than a horizon apart from the first of them."""
    if not len(used):
        return 1
    return int((np.searchsorted(used, used + horizon) - np.arange(len(used))).max())


@dataclass(frozen=True)
class Findings:
    """Logged forecasts, compared with what came.

    Attributes:
        periods: scores of each version by day, week or month.
        inputs: the drift of the inputs; None if they were not compared.
    """

    versions: Sequence[Scored]
    periods: Sequence[Period]
    inputs: DriftFindings | None
    data: Data
    notes: list[str]

    def rows(self) -> list[dict[str, Any]]:
        """Return the figures of each version: of the newest part, and of all forecasts."""
        return [row for one in self.versions for row in one.rows.values()]

    def tables(self, most: int = SHOWN) -> list[Table]:
        """Return the versions, the periods and the drift of the inputs as tables."""
        found = [
            Table(
                "What was forecast, and what came",
                ("version", "part", "values", *TITLES.values(), "− promised", ""),
                tuple(cells for one in self.versions for cells in _cells(one)),
                note="promised: by the evaluation. − promised: of the MASE, or of the MAE where "
                "there is no scale, with its 95 % interval",
            )
        ]
        if self.periods:
            numbers = dict.fromkeys(number for number, *_ in self.periods)
            shown = [
                period
                for number in numbers
                for period in [one for one in self.periods if one[0] == number][-most:]
            ]
            rows = tuple(
                (str(number), first, f"{count:,}", *(_number(scores, key) for key in METRICS))
                for number, first, scores, count in shown
            )
            columns = ("version", "from", "values", *TITLES.values())
            found.append(Table("Over time", columns, rows))
        if self.inputs is not None and self.inputs.drifts:
            rows = tuple(
                (
                    drift.name,
                    drift.measure,
                    f"{drift.value:.3g}",
                    f"{drift.bound:.3g}",
                    "drifted" if drift.passed else "",
                )
                for drift in self.inputs.drifts
            )
            columns = ("of", "measure", "value", "bound", "")
            title = f"Drift of the inputs: {self.inputs.newest}"
            found.append(Table(title, columns, rows))
        return found

    def content(self) -> dict[str, Any]:
        """Return everything as JSON has it."""
        inputs = self.inputs
        return {
            "versions": self.rows(),
            "periods": [
                {"version": number, "from": first, "values": count}
                | {metric: scores[metric] for metric in METRICS}
                for number, first, scores, count in self.periods
            ],
            "inputs": None
            if inputs is None
            else {
                "newest": inputs.newest,
                "drifts": [vars(drift) | {"passed": drift.passed} for drift in inputs.drifts],
                "worse": inputs.worse,
                "notes": inputs.notes,
            },
            "notes": self.notes,
        }

    def report(self, name: str) -> Report:
        """Return a page."""
        from retain.kinds.forecast.monitoring import figure

        figures = []
        for key, title in (("mae", "Error over time"), ("coverage_80", "Coverage over time")):
            promised = {one.version: one.promised(key) for one in by_number(self.versions)}
            svg = figure.draw(self.periods, promised, key, title) if self.periods else ""
            caption = f"{TITLES[key]} of the values of each time; dotted: what was promised."
            figures += [Figure(f"monitor-{key}", title, caption, svg)] * bool(svg)
        worse, notes = (self.inputs.worse, self.inputs.notes) if self.inputs else ([], [])
        lead = [*(f"Worse inputs: {reason}" for reason in worse), *self.notes, *notes]
        return Report(
            title=f"{name}: what was forecast, and what came",
            lead=" ".join(f"{sentence}." for sentence in lead),
            headline=self.sentence(),
            tables=tuple(self.tables(most=10_000)),
            figures=tuple(figures),
            judged=False,
        )

    def sentence(self) -> str:
        """Say in words what became of the newest version."""
        one = (by_number(self.versions) or self.versions)[-1]
        row = one.rows.get("newest") or one.rows["all"]
        title = TITLES[row["judged"]]
        return (
            f"Version {one.version}: {title} {row[row['judged']]:.4g} on {row['values']:,} values "
            f"of the newest part; promised was {row['promised'][row['judged']]:.4g} "
            f"({Interval.from_dict(row['versus'])})."
        )

    def drift(self, version: int, bound: float) -> tuple[list[Drift], list[str]]:
        """Return the error of a version's newest forecasts, as a multiple of what was promised.

        Args:
            bound: of that multiple.

        Returns:
            The drift, and what is to be said where there is none: too few values came.
        """
        found = [one for one in self.versions if one.version == version and one.promise]
        row = found[0].rows.get("newest") if found else None
        if row is None:
            return [], [f"the log has no new forecasts of version {version} with what came"]
        versus, metric = Interval.from_dict(row["versus"]), row["judged"]
        if versus.judgement in ("undecided", "not finite"):
            return [], [f"logged forecasts of version {version}: {versus}"]
        value = row[metric] / row["promised"][metric]
        return [Drift("logged forecasts", metric, value, bound)], []

    def exposition(self, name: str) -> bytes:
        """Return the figures as metrics of Prometheus, in the format of a textfile collector."""
        from retain.kinds.forecast.monitoring import exposition

        return exposition.write(name, self)


def _cells(one: Scored) -> list[tuple[str, ...]]:
    """Return the rows of a version: what was promised, and what came."""
    promised = {metric: one.promised(metric) for metric in METRICS}
    name = str(one.version)
    rows = [(name, "promised", "", *(_number(promised, key) for key in METRICS), "", "")]
    for row in one.rows.values():
        versus = Interval.from_dict(row["versus"])
        marks = [row["judgement"]] if row["judgement"] in ("worse", "better") else []
        marks += ["coverage is low"] if row["coverage_is_low"] else []
        change = "–" if math.isnan(versus.value) else f"{versus.value:+.4g} ({versus.bounds})"
        figures = (_number(row, key) for key in METRICS)
        values = f"{row['values']:,}"
        rows.append((name, row["part"], values, *figures, change, ", ".join(marks)))
    return rows


def _number(scores: Any, key: str) -> str:
    value = scores[key]
    return "–" if not math.isfinite(value) else f"{value:.3f}" if key != "mae" else f"{value:.4g}"
