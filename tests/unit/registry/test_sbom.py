"""The bill of materials is CycloneDX's, complete, and the same each time."""

import json
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution, distributions, version
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import canonicalize_name

from retain.registry import sbom

FEW = ("numpy", "pandas", "python-dateutil", "six", "requests", "urllib3", "ruamel.yaml")


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The bill of an environment of a few packages."""
    sbom.build.cache_clear()
    monkeypatch.setattr(sbom, "distributions", lambda: [distribution(name) for name in FEW])
    yield json.loads(sbom.build())
    sbom.build.cache_clear()


def test_the_bill_is_one_of_cyclonedx(few: dict[str, Any]) -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(few)) is None
    assert not {"serialNumber", "metadata"} & few.keys()  # a random number, and a time


def test_a_package_depends_on_what_it_requires_here(few: dict[str, Any]) -> None:
    edges = {line["ref"]: line["dependsOn"] for line in few["dependencies"]}
    assert edges[f"pkg:pypi/pandas@{version('pandas')}"] == [
        f"pkg:pypi/{name}@{version(name)}" for name in ("numpy", "python-dateutil")
    ]  # but not what its extras require


def test_each_installed_package_is_named_once() -> None:
    text = sbom.build()
    names = [component["name"] for component in json.loads(text)["components"]]
    assert names == sorted({canonicalize_name(found.name) for found in distributions()})
    assert f"pkg:pypi/torch@{version('torch')}" in text


def test_what_an_aborted_upgrade_left_is_no_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = tmp_path / "~umpy-2.0.dist-info"
    left.mkdir()
    both = [Distribution.at(left), distribution("six")]
    sbom.build.cache_clear()
    monkeypatch.setattr(sbom, "distributions", lambda: both)
    try:
        assert [found["name"] for found in json.loads(sbom.build())["components"]] == ["six"]
    finally:
        sbom.build.cache_clear()
