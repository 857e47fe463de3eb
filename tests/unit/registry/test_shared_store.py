"""A registry on a server: its tables have limits, and others write into it at the same time."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from retain.errors import DataError, RegistryError
from retain.registry import listing, lookup, promotion, rebuild, registry
from retain.registry.ledger import Entry
from retain.registry.version_tags import SINCE
from retain.tracking import store
from tests import forkserver

ROOM = 5000  # characters of a description and of a registered model's tag, in PostgreSQL


class Written:
    """A client of MLflow that keeps what is written."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def create_registered_model(self, name: str, description: str) -> None:
        self.texts.append(description)

    def set_registered_model_tag(self, name: str, key: str, value: str) -> None:
        self.texts.append(value)

    def set_model_version_tag(self, name: str, version: str, key: str, value: str) -> None:
        pass

    def get_model_version(self, name: str, version: str) -> Any:
        return SimpleNamespace(aliases=[])


def test_what_a_model_is_for_has_room_in_the_tables() -> None:
    client: Any = Written()
    problem: Any = SimpleNamespace(purpose="p" * 2 * ROOM)
    registry._describe(client, "sales", problem)
    assert len(client.texts[0]) == ROOM


def test_a_long_reason_has_room_in_the_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    client: Any = Written()
    monkeypatch.setattr(registry, "set_alias", lambda *words: None)
    monkeypatch.setattr(lookup, "versions", lambda *words: {1: None})
    who, why = "é" * ROOM, '"because"' * ROOM
    entry = Entry("2026-01-01T00:00:00+00:00", who, "champion", why, "a.dir", "b", "")
    version: Any = SimpleNamespace(name="sales", version="1", tags={})
    assert why in promotion.move(client, version, entry)
    assert len(client.texts[0]) < ROOM
    assert json.loads(client.texts[0])["champion"] == "1"


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client of an empty store, in whose project the test works."""
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "DVC_ROOT"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "mlruns").mkdir()
    shutil.copy(forkserver.store_template(), tmp_path / "mlruns")
    monkeypatch.chdir(tmp_path)
    return store.connect(tmp_path)


def add(client: Any, name: str = "sales", alias: str = "", **tags: str) -> None:
    """Register a version with these tags."""
    tags = {key.replace("_", "."): value for key, value in tags.items()}
    version = client.create_model_version(name, "file:///nowhere", tags=tags).version
    if alias:
        client.set_registered_model_alias(name, alias, version)


def test_a_rebuilding_that_was_killed_begins_again_with_its_own_versions_alone(client: Any) -> None:
    client.create_registered_model("sales", tags={rebuild.UNFINISHED: "true"})
    add(client, "sales", "champion", **{SINCE: "2026-01-01T00:00:00+00:00"})
    assert rebuild._begin(client, "sales")
    assert not lookup.versions(client, "sales")
    assert rebuild.UNFINISHED in client.get_registered_model("sales").tags


@pytest.mark.parametrize("alias", ["challenger", "champion"])
def test_what_others_registered_meanwhile_stays(client: Any, alias: str) -> None:
    """If their version became champion, the aliases stay, too."""
    client.create_registered_model("sales", tags={rebuild.UNFINISHED: "true"})
    add(client, "sales", "champion", **{SINCE: "2026-01-01T00:00:00+00:00"})
    add(client, "sales", alias)
    assert rebuild._begin(client, "sales") == (alias == "challenger")
    assert [*lookup.versions(client, "sales")] == [2]
    said = rebuild._finish(client, "sales", 0, whole=alias == "challenger")
    assert said.endswith(f"@{alias} is version 2")
    assert client.get_registered_model("sales").tags == {}
    assert not rebuild._begin(client, "sales")


def test_a_version_whose_files_todays_code_does_not_find_is_left_out() -> None:
    errors = [DataError("no such column"), FileNotFoundError(2, "No such file", "panel.json")]

    def act(entry: Entry) -> str:
        raise errors.pop(0)

    entries = [Entry("2026-01-01T00:00:00+00:00", "gate", "champion", "", "a.dir", "b", "")] * 2
    said = list(rebuild._each(entries, act))
    assert "skipped: no such column" in said[0]
    assert "skipped: [Errno 2] No such file: 'panel.json'" in said[1]
    errors.append(PermissionError(13, "Permission denied"))  # of this machine, not of a version
    with pytest.raises(PermissionError):
        list(rebuild._each(entries, act))


def test_models_of_other_teams_are_no_rows(client: Any, tmp_path: Path) -> None:
    for name in ("bob's", "churn", "sales"):
        client.create_registered_model(name)
        add(client, name, test_mae="n/a")
    add(client, "sales", "champion", model_md5="a.dir", test_mae="3.5")
    for asked in (None, "sales"):
        (row,) = listing.rows(tmp_path, asked)
        assert (row.name, row.version, row.aliases) == ("sales", 2, ["champion"])
        assert row.metrics == {"mae": 3.5}
    for asked in ("bob's", "churn", "nobody"):
        with pytest.raises(RegistryError, match=f"no version of {asked} is registered"):
            listing.rows(tmp_path, asked)


def test_all_pages_of_a_store_are_read() -> None:
    class Page(list[Any]):
        token: str | None = None

    def search(max_results: int, page_token: str | None) -> Page:
        page = Page([SimpleNamespace(name=f"after {page_token}")])
        page.token = {None: "one", "one": "two"}.get(page_token)
        return page

    client: Any = SimpleNamespace(search_registered_models=search)
    assert [*listing._names(client)] == ["after None", "after one", "after two"]
