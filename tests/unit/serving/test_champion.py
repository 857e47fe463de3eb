"""A server follows the champion, whatever goes wrong on the way."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from retain.errors import RegistryError
from retain.serving import champion
from retain.serving.champion import ChampionHolder


class Registry:
    """Its champion, and how loading it ends."""

    def __init__(self) -> None:
        self.version, self.error = entry("3", "md5 of 3"), None


def entry(number: str, md5: str) -> Any:
    return SimpleNamespace(name="sales", version=number, tags={"model.md5": md5})


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Any:
    known: Any = Registry()

    def load(version: Any, load_model: Any, kind: str | None = None) -> Any:
        if known.error is not None:
            raise known.error
        return SimpleNamespace(
            version=version.version, md5=version.tags["model.md5"], kind="forecast"
        )

    monkeypatch.setattr(champion.registry, "champion", lambda client, name: known.version)
    monkeypatch.setattr(champion.store, "connect", lambda root: None)
    monkeypatch.setattr(champion, "_load", load)
    return known


def test_a_version_of_a_known_number_with_other_content_is_loaded(registry: Any) -> None:
    holder = ChampionHolder(Any, "sales")
    registry.version = entry("3", "md5 of a rebuilt registry")
    holder.refresh()
    assert holder.champion.md5 == "md5 of a rebuilt registry"


@pytest.mark.parametrize(
    "error",
    [RegistryError("does not answer"), json.JSONDecodeError("no JSON", "{", 1), KeyError("data")],
)
def test_after_any_error_the_server_says_so_and_tries_again(
    registry: Any, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    holder = ChampionHolder(Any, "sales")
    registry.version, registry.error = entry("4", "md5 of 4"), error
    holder.refresh()
    assert holder.champion.version == "3"
    assert str(error) in holder.registry_error
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    registry.error = None
    holder.refresh()
    assert (holder.champion.version, holder.registry_error) == ("4", "")


def test_what_everybody_may_read_has_no_password(registry: Any) -> None:
    holder = ChampionHolder(Any, "sales")
    registry.version = entry("4", "md5 of 4")
    registry.error = ValueError("no route to http://ann:s3cret@store:5000")
    holder.refresh()
    assert holder.registry_error == "ValueError: no route to http://store:5000"
