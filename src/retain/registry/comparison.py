"""The gate's comparison of a version with the champion, on the test windows of today."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from retain.config.checks import ChampionCheck
from retain.config.kind import kind_of
from retain.config.schema import Problem
from retain.errors import IncomparableError, RegistryError
from retain.evaluation.quality_gate import MODEL, CheckResult
from retain.project.layout import Layout
from retain.registry import ledger, version_tags
from retain.registry.artifacts import downloaded
from retain.registry.version_tags import champion_figures

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion


def against_champion(
    root: Path, problem: Problem, version: "ModelVersion", champion: "ModelVersion"
) -> Iterator[CheckResult]:
    """Yield the gate's checks of the kind `champion`: both models on the same test windows.

    The evaluated models are compared. If both versions have the same one, they differ by the refit
    alone, and the check passes. If the version is the champion's recipe on other rows, it passes
    unless it is worse, since its refit has learned from newer rows. Each result has the champion's
    scores, too, for the tag `versus`. A champion that reads other data, or has learned from the
    test windows, cannot be compared, and the check passes.

    Raises:
        RegistryError: the champion cannot be read, or its files are not those that were registered.
    """
    paths = Layout(root, str(version.name))
    folder = paths.model(version.tags.get("cell", MODEL))
    for check in problem.gate:
        if not isinstance(check, ChampionCheck):
            continue
        label = f"{ledger.VERSUS_CHAMPION} {champion.version}"
        if champion.tags["model.md5"] == version.tags["model.md5"]:
            figures = champion_figures(version_tags.test_metrics(version))
            yield CheckResult(
                label, True, "its evaluated model is the same, refitted anew", figures
            )
            continue
        try:
            with downloaded(champion) as theirs:
                both = kind_of(problem).compare.load(problem, paths.prepared, folder, theirs)
        except IncomparableError as error:
            yield CheckResult(label, True, f"the champion cannot be compared: {error}", {})
            continue
        except RegistryError as error:
            name, number = version.name, version.version
            raise RegistryError(
                f"{name} version {number} is not judged, since the champion, version "
                f"{champion.version}, cannot be read: {error}. Register again once it can be read, "
                f'or replace it with `retain promote {name} --version {number} --reason "…"`'
            ) from None
        change = both.differences[check.metric]
        margin = check.margin * both.scores[1][check.metric]
        passed, wanted = change.high < -margin, f"the interval must lie below {-margin or 0:.4g}"
        if _is_fresh(version, champion):
            passed = passed or change.judgement in ("better", "no clear difference")
            wanted = "of the same recipe on other rows, it must not be worse"
        sentence = f"{check.metric.upper()} on today's test windows: {change}; {wanted}"
        figures = change.figures | champion_figures(both.scores[1])
        yield CheckResult(label, passed, sentence, figures)


def _is_fresh(version: "ModelVersion", champion: "ModelVersion") -> bool:
    """Whether a version is the champion's recipe, trained on other data."""
    (recipe, data), (recipe_before, data_before) = (
        (each.tags.get("params.md5"), each.tags.get("data.md5")) for each in (version, champion)
    )
    return recipe is not None and recipe == recipe_before and data != data_before
