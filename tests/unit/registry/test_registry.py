"""Whose fault it is when a model cannot be registered, and what replaces a champion."""

import errno
import math
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from filelock import FileLock, Timeout

from retain.config.checks import ChampionCheck
from retain.errors import IncomparableError, RegistryError
from retain.evaluation.quality_gate import CheckResult, Comparison
from retain.evaluation.results import Interval
from retain.registry import claim, comparison, registry
from retain.tracking import runs
from retain.tracking.store import StoreError

FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("error", [FULL, FileNotFoundError("config.json")])
def test_a_full_disk_and_a_missing_file_are_not_blamed_on_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    client = SimpleNamespace(search_model_versions=lambda query: [])
    monkeypatch.setattr(runs, "find_run", lambda *words: SimpleNamespace(client=client))
    (tmp_path / "mlruns").mkdir()

    def fail(folder: Path) -> Any:
        raise error

    monkeypatch.setattr(registry, "load_model", fail)
    problem: Any = None
    with pytest.raises(type(error), match=str(error.args[-1])):
        registry.add(tmp_path, "small", problem, {})


@pytest.mark.parametrize(
    ("change", "passed", "said"),
    [
        (Interval(-2.0, -3.0, -1.1, "Student t", 49), True, "by Student t of 49 forecast origins"),
        (Interval(-2.0, -3.0, -0.9, "Student t", 49), False, "better (-2, 95 % interval -3 to"),
        (
            Interval.undecided(-9.0, 13, 24, "forecast origins"),
            False,
            "13 forecast origins, and 24",
        ),
        (Interval(math.nan, math.nan, math.nan), False, "not finite"),
    ],
)
def test_a_champion_is_replaced_where_the_whole_interval_is_beyond_the_margin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Interval, passed: bool, said: str
) -> None:
    result = against_champion(tmp_path, monkeypatch, change, {"model.md5": "b"})
    assert result.passed == passed
    assert said in result.sentence


@pytest.mark.parametrize(
    ("change", "tags", "passed"),
    [
        (Interval(0.1, -1.0, 1.2, "Student t", 49), {}, True),
        (Interval(1.1, 0.1, 2.2, "Student t", 49), {}, False),
        (Interval.undecided(0.0, 13, 24, "forecast origins"), {}, False),
        (Interval(0.1, -1.0, 1.2, "Student t", 49), {"data.md5": "old"}, False),
        (Interval(0.1, -1.0, 1.2, "Student t", 49), {"params.md5": "others"}, False),
    ],
)
def test_the_champions_recipe_on_new_rows_replaces_it_unless_it_is_worse(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Interval,
    tags: dict[str, str],
    passed: bool,
) -> None:
    new = {"model.md5": "b", "params.md5": "same", "data.md5": "new", **tags}
    assert against_champion(tmp_path, monkeypatch, change, new).passed == passed


def against_champion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Interval, tags: dict[str, str]
) -> CheckResult:
    """Judge a version of these tags, whose error differs so from the champion's."""
    scores: Any = ({"mae": 8.0}, {"mae": 10.0})
    both = Comparison(("mae",), scores, {"mae": change})
    kind = SimpleNamespace(compare=SimpleNamespace(load=lambda *words: both))
    monkeypatch.setattr(comparison, "kind_of", lambda problem: kind)
    monkeypatch.setattr(comparison, "downloaded", lambda version: nullcontext(tmp_path))
    problem: Any = SimpleNamespace(gate=[ChampionCheck(check="champion", metric="mae", margin=0.1)])
    before = {"model.md5": "a", "params.md5": "same", "data.md5": "old"}
    champion: Any = SimpleNamespace(version="3", tags=before)
    version: Any = SimpleNamespace(name="small", version="4", tags=tags)
    (result,) = comparison.against_champion(tmp_path, problem, version, champion)
    return result


def test_a_champion_that_cannot_be_read_is_no_reason_to_replace_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But one that was trained on other columns is."""
    errors: list[Exception] = [
        RegistryError("weights of small version 3 was changed"),
        StoreError("a store", ValueError("time-out")),
        IncomparableError("it has other columns"),
    ]

    def fail(version: Any) -> Any:
        raise errors[0]

    monkeypatch.setattr(comparison, "downloaded", fail)
    problem: Any = SimpleNamespace(gate=[ChampionCheck(check="champion", metric="mae", margin=0.1)])
    champion: Any = SimpleNamespace(name="small", version="3", tags={"model.md5": "a"})
    version: Any = SimpleNamespace(name="small", version="4", tags={"model.md5": "b"})

    def judge() -> list[CheckResult]:
        return list(comparison.against_champion(tmp_path, problem, version, champion))

    with pytest.raises(
        RegistryError, match=r"version 4 is not judged, .*version 3 was changed.*promote"
    ):
        judge()
    errors.pop(0)
    with pytest.raises(RegistryError, match=r"version 4 is not judged, .*time-out"):
        judge()
    errors.pop(0)
    (result,) = judge()
    assert result.passed
    assert result.sentence == "the champion cannot be compared: it has other columns"


def test_one_that_lost_its_claim_decides_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost: list[int] = []
    times = 2

    def decide(*words: Any) -> str:
        if len(lost) < times:
            lost.append(len(compared))
            raise claim.ClaimLostError("too slow")
        return "decided"

    compared: list[str] = []
    monkeypatch.setattr(registry.store, "connect", lambda root: None)
    monkeypatch.setattr(registry.claim, "held", lambda client, name: nullcontext(client))
    monkeypatch.setattr(registry, "_champion_state", lambda client, name: ("3",))
    monkeypatch.setattr(registry, "alias_version", lambda client, name, alias: None)
    monkeypatch.setattr(registry, "_kept", lambda *words: None)
    monkeypatch.setattr(registry, "_all_checks", lambda *words: compared.append("") or [])
    monkeypatch.setattr(registry, "decide", decide)
    anything: Any = None
    assert registry.judge(tmp_path, "small", anything, anything, []) == "decided"
    assert lost == [1, 2]  # how often it was compared before
    lost.clear()
    times = 99
    with pytest.raises(claim.ClaimLostError):
        registry.judge(tmp_path, "small", anything, anything, [])
    assert len(lost) == registry.TRIES


def test_no_other_command_waits_for_a_comparison_or_an_upload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free: dict[str, list[bool]] = {}

    def look(when: str) -> None:
        locks = [FileLock(tmp_path / f"mlruns/{name}.lock") for name in ("store", registry.LOCK)]
        free[when] = [is_free(lock) for lock in locks]

    def upload(folder: Path) -> Any:
        look("upload")
        raise RegistryError("the store went away")

    client: Any = SimpleNamespace(search_model_versions=lambda query: [])
    monkeypatch.setattr(registry.store, "connect", lambda root: client)
    monkeypatch.setattr(registry.claim, "held", lambda client, name: nullcontext(client))
    monkeypatch.setattr(registry, "_champion_state", lambda client, name: ("3",))
    monkeypatch.setattr(registry, "alias_version", lambda client, name, alias: None)
    monkeypatch.setattr(registry, "_kept", lambda *words: None)
    monkeypatch.setattr(registry, "_all_checks", lambda *words: look("comparison") or [])
    monkeypatch.setattr(registry, "decide", lambda *words: look("decision"))
    monkeypatch.setattr(runs, "find_run", lambda *words: SimpleNamespace(client=client))
    monkeypatch.setattr(registry, "load_model", upload)
    anything: Any = None
    (tmp_path / "mlruns").mkdir()
    registry.judge(tmp_path, "small", anything, anything, [], lambda decision: look("record"))
    with pytest.raises(RegistryError, match="went away"):
        registry.add(tmp_path, "small", anything, {})
    held = {"upload": [True, False], "decision": [True, False], "record": [True, False]}
    assert free == {"comparison": [True, True], **held}


def is_free(lock: FileLock) -> bool:
    try:
        with lock.acquire(timeout=0):
            return True
    except Timeout:
        return False


class Aliases:
    """A client of MLflow with versions and aliases alone."""

    def __init__(self, **aliases: int) -> None:
        self.aliases = aliases

    def get_model_version_by_alias(self, name: str, alias: str) -> Any:
        if alias not in self.aliases:
            error = StoreError("a store", ValueError())
            error.code = "RESOURCE_DOES_NOT_EXIST"
            raise error
        return SimpleNamespace(name=name, version=self.aliases[alias])

    def set_registered_model_alias(self, name: str, alias: str, version: int) -> None:
        self.aliases[alias] = version

    def delete_registered_model_alias(self, name: str, alias: str) -> None:
        del self.aliases[alias]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"champion": 1}, {"champion": 2, "previous": 1}),
        ({"champion": 1, "previous": 2}, {"champion": 2, "previous": 1}),
        ({"champion": 1, "challenger": 2}, {"champion": 2, "previous": 1}),
        ({"previous": 2}, {"champion": 2}),  # a kill, or a rebuilding, left no champion
        ({"champion": 2, "previous": 2}, {"champion": 2}),
    ],
)
def test_a_champion_has_no_other_alias(before: dict[str, int], after: dict[str, int]) -> None:
    client: Any = Aliases(**before)
    version: Any = SimpleNamespace(name="small", version=2)
    registry.set_alias(client, version, "champion")
    assert client.aliases == after
