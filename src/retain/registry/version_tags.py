"""The tags of a registered version; docs/mlflow.md has the table of them."""

import json
import math
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from retain.config.kind import Predictor
from retain.evaluation.quality_gate import CheckResult
from retain.evaluation.results import Metrics, of_note
from retain.model_files import load_model
from retain.project import fingerprint
from retain.registry.ledger import VERSUS_CHAMPION
from retain.tracking import labels

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

# The tags of a run that its version has, too.
PROVENANCE = ("data.md5", "params.md5", "parent.md5", "git.commit", "git.dirty", "DVC_EXP_NAME")
SINCE = "registered.at"  # when it was registered, where the store itself is younger
TEST = "test."  # how the tags begin that hold a test metric
VERSUS = "versus"  # the champion of then, scored on the same test windows
CHAMPION = "champion."  # how the figures of a check begin that are of the champion


def of_model(
    root: Path,
    name: str,
    metrics: Metrics,
    cell: str,
    predictor: Predictor,
    final: Path | None,
    run_tags: Mapping[str, str],
) -> dict[str, str]:
    """Return what a version is made of and how good it was on its test part.

    Args:
        cell: the judged one, whose model `predictor` is.
        final: the folder of the refitted model, if there is one.
        run_tags: of the training.
    """
    md5s = fingerprint.output_md5s(root, name)
    tags = {"outs": json.dumps(md5s), "cell": cell, "data.span": predictor.trained_on()}
    if final is not None:
        tags["final.md5"] = fingerprint.folder_md5(final)
        tags["final.span"] = load_model(final).trained_on()
    if rows := labels.data_sentence(root, name):
        tags["data.rows"] = rows
    scores = metrics["models"][cell]
    shown = {key: score for key, score in of_note(scores).items() if math.isfinite(score)}
    tags |= {f"{TEST}{key}": f"{value:.6g}" for key, value in shown.items()}
    return tags | {key: run_tags[key] for key in PROVENANCE if key in run_tags}


def of_decision(sentence: str, checks: Iterable[CheckResult]) -> dict[str, str]:
    """Return what the gate found and decided.

    The champion's scores are those on the test windows of this version: its own tags may be of
    another test part.
    """
    failed = [check.check for check in checks if not check.passed]
    tags = {"verdict": sentence, "gate": f"failed: {', '.join(failed)}" if failed else "passed"}
    for check in checks:
        scores = {
            key.removeprefix(CHAMPION): value
            for key, value in check.figures.items()
            if key.startswith(CHAMPION)
        }
        number = re.fullmatch(rf"{VERSUS_CHAMPION} (\d+)", check.check)
        if number and scores:
            tags[VERSUS] = json.dumps({"version": int(number[1]), **scores})
    return tags


def champion_figures(scores: Mapping[str, float]) -> dict[str, float]:
    """Return a champion's scores as a check's figures hold them."""
    shown = {key: score for key, score in of_note(scores).items() if math.isfinite(score)}
    return {f"{CHAMPION}{key}": float(value) for key, value in shown.items()}


def test_metrics(version: "ModelVersion") -> dict[str, float]:
    """Return the test metrics that were registered with a version; a person may add other tags."""
    metrics: dict[str, float] = {}
    for key, value in version.tags.items():
        if key.startswith(TEST):
            with suppress(ValueError):
                metrics[key.removeprefix(TEST)] = float(value)
    return metrics


def forecasting_md5(version: "ModelVersion") -> str:
    """Return the md5 of the folder of the model that answers: the refitted one, if there is one."""
    return str(version.tags.get("final.md5") or version.tags["model.md5"])


def versus(version: "ModelVersion") -> dict[str, float]:
    """Return the champion that a version was compared with: its number as `version`, and scores."""
    found: dict[str, float] = json.loads(version.tags.get(VERSUS, "{}"))
    return found
