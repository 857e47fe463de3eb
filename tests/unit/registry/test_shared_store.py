"""A registry on a server: its tables have limits, and others write into it at the same time."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from retain.registry import lookup, promotion, registry
from retain.registry.ledger import Entry

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
