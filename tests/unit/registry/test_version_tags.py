"""The tags of a version say how the champion of the time did on the same test windows."""

from types import SimpleNamespace
from typing import Any

from retain.evaluation.quality_gate import CheckResult
from retain.registry import version_tags


def version(tags: dict[str, str]) -> Any:
    return SimpleNamespace(tags=tags)


def test_a_decision_s_tags_are_verdict_gate_and_the_champion_s_scores() -> None:
    figures = {"value": -1.0, **version_tags.champion_figures({"mae": 4.5, "wape": 0.1})}
    checks = [
        CheckResult("finite", True, "every value is finite", {"not_finite": 0}),
        CheckResult("better than champion version 3", False, "MAE …", figures),
    ]
    tags = version_tags.of_decision("sales version 4 is @challenger", checks)
    assert tags.keys() == {"verdict", "gate", "versus"}
    assert tags["gate"] == "failed: better than champion version 3"
    assert version_tags.versus(version(tags)) == {"version": 3, "mae": 4.5}


def test_without_a_comparison_there_is_no_tag_of_one() -> None:
    checks = [CheckResult("better than champion version 3", True, "from a ledger", {})]
    tags = version_tags.of_decision("", checks)
    assert "versus" not in tags
    assert version_tags.versus(version(tags)) == {}


def test_test_metrics_are_numbers_again_and_other_tags_none() -> None:
    tags = {"test.mae": "3.5", "test.set": "May", "model.md5": "a"}
    assert version_tags.test_metrics(version(tags)) == {"mae": 3.5}
