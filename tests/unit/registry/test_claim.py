"""Only one process at a time moves the aliases of a model."""

import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

from retain.errors import RegistryError
from retain.registry import claim


class Tags:
    """A client of MLflow with the tags of one registered model alone; each call takes a while."""

    def __init__(self, **tags: str) -> None:
        self.tags, self._lock = tags, threading.Lock()
        self.written: list[str] = []
        self.moved: list[str] = []

    def set_registered_model_tag(self, name: str, key: str, value: str) -> None:
        time.sleep(0.001)
        with self._lock:
            self.tags[key] = value
            self.written.append(key)

    def set_registered_model_alias(self, name: str, alias: str, version: str) -> None:
        self.moved.append(alias)

    def get_registered_model(self, name: str) -> Any:
        time.sleep(0.001)
        with self._lock:
            return SimpleNamespace(tags=dict(self.tags))

    def delete_registered_model_tag(self, name: str, key: str) -> None:
        time.sleep(0.001)
        with self._lock:
            if self.tags.pop(key, None) is None:
                raise RegistryError("no such tag")


def test_two_are_never_in_the_block_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    client: Any = Tags(purpose="sales")
    monkeypatch.setattr(
        claim.random, "uniform", lambda low, high: 0.002 + 0.02 * time.time() % 0.01
    )
    inside, together, done = 0, [], []

    def move() -> None:
        nonlocal inside
        for _ in range(3):
            with claim.held(client, "sales"):
                inside += 1
                together.append(inside)
                time.sleep(0.003)
                inside -= 1
        done.append(True)

    threads = [threading.Thread(target=move) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert len(done) == 3
    assert together == [1] * 9
    assert client.tags == {"purpose": "sales"}


def test_the_claim_of_a_process_that_was_killed_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    client: Any = Tags(**{f"{claim.PREFIX}killed": "1"})
    monkeypatch.setattr(claim, "STALE", 0.1)
    start = time.monotonic()
    with claim.held(client, "sales"):
        assert time.monotonic() - start > 0.1
        assert len(client.tags) == 1
    assert client.tags == {}


def test_one_that_waits_too_long_says_so_and_leaves_no_claim(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client: Any = Tags(**{f"{claim.PREFIX}other": "1"})
    monkeypatch.setattr(claim, "PATIENCE", 0.1)
    waiting = claim.held(client, "sales")
    with pytest.raises(RegistryError, match="moving the aliases of sales for 0 s: try again"):
        waiting.__enter__()
    assert client.tags == {f"{claim.PREFIX}other": "1"}


def test_an_error_in_the_block_ends_the_claim() -> None:
    client: Any = Tags()
    with pytest.raises(KeyError), claim.held(client, "sales"):
        raise KeyError
    assert client.tags == {}


def test_each_try_has_a_name_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    client: Any = Tags(**{f"{claim.PREFIX}killed": "1"})
    monkeypatch.setattr(claim, "STALE", 0.1)
    with claim.held(client, "sales"):
        assert len(client.written) > 1
    assert len(set(client.written)) == len(client.written)


def test_without_its_claim_nothing_is_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    client: Any = Tags()
    with claim.held(client, "sales") as holder:
        holder.set_registered_model_alias("sales", "previous", "1")
        client.tags.clear()  # another process took it for that of a killed one
        with pytest.raises(claim.ClaimLostError, match="retain models sales"):
            holder.set_registered_model_alias("sales", "champion", "2")
        with pytest.raises(claim.ClaimLostError):
            holder.set_registered_model_tag("sales", "moved", "{}")
    with claim.held(client, "sales") as holder:  # the claim is there, but may be removed now
        monkeypatch.setattr(claim, "HOLD", 0.0)
        with pytest.raises(claim.ClaimLostError):
            holder.set_registered_model_alias("sales", "champion", "2")
    assert client.moved == ["previous"]
