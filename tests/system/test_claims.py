"""Two machines that move aliases at once: what was compared is what is replaced."""

import json
import shutil
from pathlib import Path

import pytest

from retain.registry import claim, promotion, registry
from retain.tracking import store

from .at_once import register_at_once
from .test_versions import register, scale


def compare_at_once(folders: dict[str, Path], variables: list[dict[str, str]]) -> str:
    """Register what two clones trained, each compared with the same champion first.

    Checks that the second was compared with the first, too; returns the champion's version.
    """
    call = "retain.registry.comparison:against_champion"
    compared = register_at_once(call, folders, variables)
    decided = {
        own: json.loads((folder / "reports/small/decision.json").read_text())
        for own, folder in folders.items()
    }
    versions = {own: decision["version"] for own, decision in decided.items()}
    pairs = [("one", "other"), ("other", "one")]
    # As it would be if each had only seen the champion of before: no pair.
    ((second, first),) = (
        pair for pair in pairs if " ".join([pair[0], *map(versions.get, pair)]) in compared
    )
    assert decided[first]["alias"] == "champion"
    checks = {check["check"] for check in decided[second]["checks"]}
    assert f"better than champion version {versions[first]}" in checks
    return versions[second if decided[second]["alias"] == "champion" else first]


@pytest.mark.long
def test_of_two_that_beat_the_champion_the_second_is_compared_with_the_first(
    finished: Path, tmp_path: Path
) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    shutil.copytree(finished, one)
    scale(one, 30.0)
    register(one)
    promotion.promote(one, "small", 2, "to have a bad one", "Ada")
    shutil.copytree(one, other, ignore=shutil.ignore_patterns("mlruns"))
    (other / "mlruns").mkdir()
    for folder, factor in ((one, 1 / 30.1), (other, 1 / 30.2)):
        scale(folder, factor)
    address = f"sqlite:///{one / 'mlruns/mlflow.db'}"
    number = compare_at_once({"one": one, "other": other}, [{"MLFLOW_TRACKING_URI": address}] * 2)
    client = store.connect(one)
    champion = registry.alias_version(client, "small", "champion")
    assert champion is not None
    assert (str(champion.version), champion.tags["gate"]) == (number, "passed")
    assert not [tag for tag in client.get_registered_model("small").tags if claim.PREFIX in tag]
