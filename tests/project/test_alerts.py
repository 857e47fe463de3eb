"""Alert rules and the dashboard in deploy/: right for Prometheus, and of metrics that there are."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from ruamel.yaml import YAML

from retain.config.monitoring import LogLimit
from retain.evaluation.results import Drift, DriftFindings
from retain.kinds.forecast.monitoring import exposition
from retain.kinds.forecast.predict.endpoint import ForecastEndpoint
from retain.serving.endpoint import Limits
from retain.serving.metrics import Metrics

DEPLOY = Path(__file__).parents[2] / "deploy"
OF_PROMETHEUS = {"job", "instance"}  # labels that it adds to what it scrapes
WORDS = {"by", "on", "and", "or", "unless", "without", "bool", "ignoring", "offset"}
GROUPED = re.compile(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)")
SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)\s*(?:\{([^}]*)\})?")


@pytest.fixture(scope="module")
def exposed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Every series that `retain serve` and `retain monitor` expose, with the names of its labels.

    `up` is Prometheus' own.
    """
    champion = SimpleNamespace(name="sales", md5="x", version="3")
    holder: Any = SimpleNamespace(champion=champion, registry_error="")
    counters = CollectorRegistry()
    endpoint = ForecastEndpoint(Limits(), counters)
    log = endpoint.keep_answers(tmp_path_factory.mktemp("log"), LogLimit(days=1), counters)
    log.close()
    metrics = Metrics(holder, counters, endpoint.path)
    metrics.count_request("/forecast", 200, 0.1)
    figures = dict.fromkeys(exposition.FIGURES, 1.0)
    row = figures | {"version": 3, "md5": "x", "part": "all", "values": 1, "judgement": "worse"}
    row |= {"coverage_is_low": False, "promised": figures}
    inputs = DriftFindings("now", [Drift("y", "psi", 1.0, 1.0)])
    one = SimpleNamespace(version=3, md5="x", promise=figures, rows={"all": row})
    found: Any = SimpleNamespace(versions=[one], inputs=inputs)
    texts = metrics.exposition().decode(), exposition.write("sales", found).decode()
    series: dict[str, set[str]] = {"up": set()}
    for text in texts:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                series.setdefault(sample.name, set()).update(sample.labels)
    return series


def rules() -> Iterator[tuple[str, str]]:
    """Every alert and its expression."""
    for group in YAML(typ="safe").load((DEPLOY / "alerts.yml").read_text("utf-8"))["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]


def panels() -> Iterator[tuple[str, str]]:
    """Every query of the dashboard, with its panel."""
    board = json.loads((DEPLOY / "grafana.json").read_text("utf-8"))
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"].replace("$__rate_interval", "5m")


def used(expression: str) -> tuple[dict[str, set[str]], set[str]]:
    """Return an expression's metrics with the labels that select them, and those it groups by."""
    bare = re.sub(r'"[^"]*"', '""', expression)
    grouped = {name.strip() for names in GROUPED.findall(bare) for name in names.split(",")}
    bare = re.sub(r"\[[^\]]*\]", "", GROUPED.sub(" ", bare))
    metrics: dict[str, set[str]] = {}
    for found in SELECTOR.finditer(bare):
        name, labels = found[1], found[2] or ""
        rest = bare[found.end() :].lstrip()
        if name not in WORDS and not (rest.startswith("(") and found[2] is None):
            names = re.findall(r"(\w+)\s*[=!]", labels)
            metrics.setdefault(name, set()).update(names)
    return metrics, grouped


@pytest.mark.parametrize(("where", "expression"), [*rules(), *panels()])
def test_every_metric_and_label_exists(
    where: str, expression: str, exposed: dict[str, set[str]]
) -> None:
    metrics, grouped = used(expression)
    assert metrics, where
    assert metrics.keys() <= exposed.keys(), where
    for name, labels in metrics.items():
        assert labels <= exposed[name] | OF_PROMETHEUS, where
    assert grouped <= set.union(OF_PROMETHEUS, *(exposed[name] for name in metrics)), where


def test_a_metric_that_does_not_exist_is_seen() -> None:
    expression = 'sum by (le) (rate(retain_no{path="/"}[5m])) > 2 and on (x) time() - other'
    assert used(expression) == ({"retain_no": {"path"}, "other": set()}, {"le", "x"})


def test_every_metric_of_the_monitor_is_on_the_dashboard(exposed: dict[str, set[str]]) -> None:
    shown = {name for _, expression in panels() for name in used(expression)[0]}
    assert {name for name in exposed if name.startswith("retain_monitor_")} <= shown


def test_the_dashboard_is_whole() -> None:
    board = json.loads((DEPLOY / "grafana.json").read_text("utf-8"))
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    variables = {variable["name"] for variable in board["templating"]["list"]}
    text = json.dumps(board["panels"])
    assert set(re.findall(r"\$\{?(?!__)(\w+)", text)) <= variables
    places = [tuple(panel["gridPos"].values()) for panel in board["panels"]]
    assert len(set(places)) == len(places)


@pytest.mark.skipif(
    shutil.which("promtool") is None, reason="no promtool: apt-get install prometheus"
)
def test_promtool_accepts_the_rules_their_tests_and_the_queries(tmp_path: Path) -> None:
    recorded = [
        {"record": f"query_{number}", "expr": re.sub(r"\$(\w+)", r"\1", expression)}
        for number, (_, expression) in enumerate(panels())
    ]
    queries = tmp_path / "queries.yml"
    queries.write_text(json.dumps({"groups": [{"name": "queries", "rules": recorded}]}))
    for words in (
        ("check", "rules", "alerts.yml"),
        ("test", "rules", "alerts-test.yml"),
        ("check", "rules", str(queries)),
    ):
        done = subprocess.run(
            ["promtool", *words], cwd=DEPLOY, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    text = (DEPLOY / "alerts-test.yml").read_text("utf-8")
    assert {name for name, _ in rules()} == set(re.findall(r"alertname: (\w+)", text))
