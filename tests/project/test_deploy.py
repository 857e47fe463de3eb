"""A team's compose file: no secret in it, no port open to others, no image that moves."""

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "deploy" / "compose.yaml").read_text(encoding="utf-8")


@pytest.fixture
def services() -> dict[str, dict[str, Any]]:
    return dict(YAML(typ="safe").load(TEXT)["services"])


def test_it_refuses_to_start_where_a_secret_is_missing(services: dict[str, Any]) -> None:
    secrets = re.findall(r"\$\{(\w*(?:PASSWORD|SECRET|KEY)\w*)(.*?)\}", TEXT)
    assert all(rest == ":?set it in deploy/.env, as docs/team.md says" for _, rest in secrets)
    page = (ROOT / "docs" / "team.md").read_text(encoding="utf-8")
    assert {name for name, _ in secrets} <= set(re.findall(r"\w+", page))
    for service in services.values():
        for name, value in service.get("environment", {}).items():
            if re.search(r"PASS|SECRET", name):
                assert value.startswith("${"), name


def test_every_port_is_bound_to_this_machine_unless_told_otherwise(
    services: dict[str, Any],
) -> None:
    ports = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert ports.keys() == {"s3", "mlflow"}
    assert all(port.startswith("${BIND:-127.0.0.1}:") for each in ports.values() for port in each)


def test_images_have_a_version_and_mlflow_that_of_the_lock(services: dict[str, Any]) -> None:
    images = {name: service["image"] for name, service in services.items()}
    assert all(re.fullmatch(r"[\w./-]+:v?\d[\w.-]*", image) for image in images.values())
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    (pinned,) = re.findall(r"^mlflow==(\S+)", lock, re.MULTILINE)
    assert images["mlflow"] == images["buckets"] == f"ghcr.io/mlflow/mlflow:v{pinned}-full"


def test_what_others_wait_for_has_a_health_check(services: dict[str, Any]) -> None:
    for service in services.values():
        for name, wanted in service.get("depends_on", {}).items():
            if wanted["condition"] == "service_healthy":
                assert "test" in services[name]["healthcheck"]
    assert all("healthcheck" in service for name, service in services.items() if name != "buckets")
