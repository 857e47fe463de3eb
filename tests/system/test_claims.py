"""Two machines that move aliases at once: what was compared is what is replaced."""

import json
import shutil
from pathlib import Path

import pytest

from retain.registry import claim, promotion, registry
from retain.tracking import store

from .test_stopped import start
from .test_versions import register, scale

# Registers, but waits with its first comparison until the other one has compared, too.
AT_ONCE = """
import runpy, sys, time
from pathlib import Path
from retain.registry import comparison

meeting, own = Path(sys.argv[1]), sys.argv[2]
compare = comparison.against_champion

def wait(root, problem, version, champion):
    found = list(compare(root, problem, version, champion))
    (meeting / f"{own} with {champion.version}").touch()
    deadline = time.monotonic() + 120
    while len({path.name.split()[0] for path in meeting.iterdir()}) < 2:
        assert time.monotonic() < deadline, "the other one did not come"
        time.sleep(0.01)
    return found

comparison.against_champion = wait
sys.argv = ["register.py", "small"]
runpy.run_path("pipelines/register.py", run_name="__main__")
"""


def compare_at_once(folders: dict[str, Path], variables: list[dict[str, str]]) -> str:
    """Register what two clones trained, each compared with the same champion first.

    Checks that the second was compared with the first, too; returns the champion's version.
    """
    meeting = next(iter(folders.values())).with_name("meeting")
    meeting.mkdir()
    started = [
        start(folder, "python", "-c", AT_ONCE, str(meeting), own, **given)
        for (own, folder), given in zip(folders.items(), variables, strict=True)
    ]
    said = [process.communicate(timeout=240) for process in started]
    assert [process.returncode for process in started] == [0, 0], said
    decided = {
        own: json.loads((folder / "reports/small/decision.json").read_text())
        for own, folder in folders.items()
    }
    versions = {own: decision["version"] for own, decision in decided.items()}
    compared = {path.name for path in meeting.iterdir()}
    pairs = [("one", "other"), ("other", "one")]
    # As it would be if each had only seen the champion of before: no pair.
    ((second, first),) = (
        pair for pair in pairs if f"{pair[0]} with {versions[pair[1]]}" in compared
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
