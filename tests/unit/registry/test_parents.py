"""The model that a training starts from: the champion of this branch, and its ancestors."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from retain.config import loader
from retain.errors import ParamsError, RegistryError
from retain.registry import ledger, parents, registry
from retain.registry.ledger import Entry
from retain.tracking import store
from tests.unit.config.test_warm_start import PARAMS

OLD, NEW = (f"{digit * 32}.dir" for digit in "ab")
VERSIONS = {
    md5: SimpleNamespace(
        version=number,
        tags={
            "model.md5": md5,
            "outs": json.dumps({"models/sales/lstm": md5}),
            **({"parent.md5": OLD} if md5 == NEW else {}),
        },
    )
    for number, md5 in enumerate((OLD, NEW), start=1)
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose registry has two versions."""
    (tmp_path / "params.yaml").write_text(PARAMS)

    def find(client: Any, name: str, md5: str, final: str | None) -> Any:
        return VERSIONS.get(md5)

    @contextmanager
    def files(root: Path, name: str, md5: str, label: str) -> Iterator[Path]:
        yield root

    monkeypatch.setattr(store, "is_empty", lambda root: False)
    monkeypatch.setattr(store, "connect", lambda root: None)
    monkeypatch.setattr(registry, "find_by_md5", find)
    monkeypatch.setattr(parents, "parent_files", files)
    return tmp_path


def decided(root: Path, minute: int, md5: str, alias: str = "champion") -> None:
    at = f"2026-01-01T00:{minute:02}:00+00:00"
    ledger.record(root, "sales", Entry(at, ledger.GATE, alias, "passed", md5, f"m{minute}", ""))


def test_the_champion_of_this_branch_is_the_parent(project: Path) -> None:
    assert "no champion here; the next training starts from random" in parents.follow_champion(
        project, "sales"
    )
    decided(project, 1, OLD)
    assert "version 1" in parents.follow_champion(project, "sales")
    assert loader.load(project)["sales"].training.parents == {"lstm": OLD}
    before = (project / "params.yaml").read_bytes()
    decided(project, 2, NEW, "challenger")  # which another branch may have made champion
    assert "as before" in parents.follow_champion(project, "sales")
    assert (project / "params.yaml").read_bytes() == before
    decided(project, 3, NEW)
    assert "version 2" in parents.follow_champion(project, "sales")
    assert loader.load(project)["sales"].training.parents == {"lstm": NEW}


def test_a_champion_that_is_not_registered_here_is_said(project: Path) -> None:
    decided(project, 1, "c" * 32 + ".dir")
    with pytest.raises(RegistryError, match="retain rehydrate sales"):
        parents.follow_champion(project, "sales")


def test_a_champion_without_one_of_the_cells_is_no_parent(project: Path) -> None:
    decided(project, 1, OLD)
    text = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(text.replace("[lstm]", "[lstm, gru]"))
    assert "has no gru" in parents.follow_champion(project, "sales")
    assert not loader.load(project)["sales"].training.parents


def test_who_does_not_start_warm_has_no_parent(project: Path) -> None:
    decided(project, 1, OLD)
    (project / "params.yaml").write_text(PARAMS.replace("warm_start: champion", "seed: 3", 1)
                                         .replace("      seed: 2\n", ""))  # fmt: skip
    with pytest.raises(ParamsError, match="warm_start is none"):
        parents.follow_champion(project, "sales")


def test_the_line_of_ancestors_ends_with_random_weights(project: Path) -> None:
    line = [(md5, version.version) for md5, version in parents.line_of(project, "sales", NEW)]  # type: ignore[union-attr]
    assert line == [(NEW, 2), (OLD, 1)]
    assert [*parents.line_of(project, "sales", "c" * 32 + ".dir")] == [("c" * 32 + ".dir", None)]
