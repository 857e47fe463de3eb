"""The model card: metadata that a hub reads, then what a person asks."""

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from retain.config import loader
from retain.evaluation.quality_gate import CheckResult
from retain.registry import model_card

ENTRY: dict[str, Any] = {
    "kind": "forecast",
    "preset": "fast",
    "data": {"path": "data/raw/sales.csv", "y": "sold_items", "horizon": 7, "context_length": 28},
    "gate": [{"check": "beats", "baseline": "theta"}],
}
METRICS: Any = {
    "models": {
        "lstm": {"mae": 3.14159265, "crps": 2.5, "parameters": 4000},
        "rnn": {"mae": 3.25, "crps": float("nan")},
        "theta": {"mae": 4.0, "crps": 3.0},
        "drift": {"mae": 9.0, "crps": 8.0},
    },
    "differences": {},
}
TAGS = {
    "cell": "lstm",
    "model.md5": "abc.dir",
    "data.md5": "def.dir",
    "raw.md5": "123",
    "params.md5": "0123456789abcdef",
    "data.span": "2023-01-01 to 2023-12-01",
    "data.rows": "365 rows, 1 series, 2023-01-01 to 2023-12-31",
    "git.commit": "0" * 40,
    "git.dirty": "true",
}


@pytest.fixture
def card(tmp_path: Path) -> str:
    problem = loader.parse("sales", ENTRY)
    checks = [CheckResult("beats theta", False, "MAE 3.142 against 4", {})]
    return model_card.write(tmp_path, "sales", problem, METRICS, checks, TAGS)


def test_the_head_has_the_keys_of_a_hub_with_the_test_figures(card: str) -> None:
    _, head, _ = card.split("---\n", 2)
    content = YAML(typ="safe").load(head)
    assert content["library_name"] == "retain"
    assert content["pipeline_tag"] == "time-series-forecasting"
    (result,) = content["model-index"][0]["results"]
    assert result["metrics"] == [
        {"type": "mae", "value": 3.14159},
        {"type": "crps", "value": 2.5},
    ]
    assert result["dataset"]["revision"] == "123"


def test_the_page_says_what_for_how_good_what_not_and_how_again(card: str) -> None:
    assert "Forecasts `sold_items`, 7 steps ahead, with quantiles." in card
    assert "| lstm | 3.142 | 2.5 |" in card
    assert "| rnn | 3.25 | – |" in card
    assert "| theta | 4 | 3 |" in card
    assert "drift" not in card.partition("## Limits")[0]  # the gate does not compare with it
    assert "- failed: beats theta: MAE 3.142 against 4" in card
    assert "it did not pass the gate: beats theta" in card
    assert "`git checkout 000000000000`" in card
    assert "`code.patch` has them" in card
    assert "data/raw/sales.csv`, md5 `123`" in card


def test_mlflow_shows_the_page_first_and_the_metadata_as_code(card: str) -> None:
    text = model_card.description(card)
    assert text.startswith("# sales\n")
    assert "## Metadata\n\n```yaml\nlibrary_name: retain\n" in text
    assert "---\n" not in text


def test_what_mlflow_shows_has_room_in_its_tables(tmp_path: Path) -> None:
    checks = [CheckResult(f"beats floor {i}", True, "MAE 3.142 against 4", {}) for i in range(200)]
    problem = loader.parse("sales", ENTRY)
    text = model_card.description(
        model_card.write(tmp_path, "sales", problem, METRICS, checks, TAGS)
    )
    assert len(text) == 5000  # more is an error of PostgreSQL
    assert text.endswith("…")


def test_outside_git_nothing_is_promised(tmp_path: Path) -> None:
    tags = {key: value for key, value in TAGS.items() if not key.startswith("git.")}
    problem = loader.parse("sales", ENTRY)
    card = model_card.write(tmp_path, "sales", problem, METRICS, [], tags)
    assert "retain prove" not in card
