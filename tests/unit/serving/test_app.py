"""Who may ask the server, and what it says of itself, without a process and without a model."""

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from retain.config.monitoring import LogLimit
from retain.errors import ParamsError
from retain.kinds.text.endpoint import CompleteEndpoint
from retain.serving import app
from retain.serving.endpoint import Limits

KEY = "a key: ü"
SENT = KEY.encode().decode("latin-1")  # as a browser and curl send it
PREDICTOR = SimpleNamespace(
    schema=SimpleNamespace(unit="letter", lower=True, vocabulary=("<unk>", "a")),
    trained_on=lambda: "a text",
)
CHAMPION: Any = SimpleNamespace(
    name="rhyme",
    version="3",
    identity={"name": "rhyme", "version": "3", "md5": "m"},
    origin={"verdict": "passed"},
    predictor=PREDICTOR,
    example=pd.DataFrame({"text": ["a", "aa"]}),
    build_endpoint=CompleteEndpoint,
)


def ask(
    method: str, path: str, key: str | None = None, hosts: tuple[str, ...] = (), **headers: str
) -> tuple[int, dict[bytes, bytes], Any]:
    """Status, headers and content of an answer of a server with this key and these names."""
    holder: Any = SimpleNamespace(champion=CHAMPION, registry_error="")
    answer: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(message: Any) -> None:
        answer.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": [
            (name.lower().replace("_", "-").encode(), value.encode("latin-1"))
            for name, value in headers.items()
        ],
    }
    asyncio.run(app.build(holder, Limits(), key, hosts)(scope, receive, send))
    answered = dict(answer[0]["headers"])
    is_json = answered[b"content-type"] == b"application/json"
    return answer[0]["status"], answered, json.loads(answer[1]["body"]) if is_json else None


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"X_API_Key": SENT}, 200),
        ({"Authorization": f"Bearer {SENT}"}, 200),
        ({"X_API_Key": "another", "Authorization": f"Bearer {SENT}"}, 401),
        ({"X_API_Key": ""}, 401),
        ({"Authorization": f"Basic {SENT}"}, 401),
        ({}, 401),
    ],
)
def test_a_key_is_a_header_or_a_bearer_token(headers: dict[str, str], status: int) -> None:
    code, answered, content = ask("GET", "/model", KEY, **headers)
    assert code == status
    if status == 401:
        assert content["error"].startswith("the key is missing or wrong")
        assert answered[b"www-authenticate"] == b"Bearer"


@pytest.mark.parametrize("path", ["/model", "/example", "/metrics", "/openapi.json", "/complete"])
def test_nothing_but_the_page_and_the_health_is_open(path: str) -> None:
    assert ask("POST" if path == "/complete" else "GET", path, KEY)[0] == 401
    assert ask("HEAD", "/", KEY)[0] == ask("GET", "/health", KEY)[0] == 200


def test_the_description_says_how_a_key_is_shown_where_one_is() -> None:
    guarded = ask("GET", "/openapi.json", KEY, X_API_Key=SENT)[2]
    schemes = guarded["components"]["securitySchemes"]
    assert {scheme["type"] for scheme in schemes.values()} == {"apiKey", "http"}
    for path, operations in guarded["paths"].items():
        shown = [{name: []} for name in schemes] if path != "/health" else None
        assert [operation.get("security") for operation in operations.values()] == [shown]
    without = ask("GET", "/openapi.json")[2]
    assert "securitySchemes" not in without["components"]


def test_the_description_has_the_models_of_request_and_answer_and_the_champions_example() -> None:
    described = ask("GET", "/openapi.json")[2]
    operation = described["paths"]["/complete"]["post"]
    body = operation["requestBody"]["content"]["application/json"]
    assert list(body["schema"]["properties"]) == ["text", "length", "temperature", "seed"]
    assert body["examples"]["Several"]["value"]["text"] == ["a", "aa"]
    assert [p["name"] for p in operation["parameters"]] == ["length", "temperature", "seed"]
    answer = described["components"]["schemas"]["CompleteAnswer"]
    assert set(answer["required"]) == {"model", "ignored", "answers"}
    assert "version 3" in described["info"]["summary"]


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost", 200), ("LOCALHOST:8000", 200), ("[::1]:80", 200), ("evil", 421), ("", 421)],
)
def test_only_its_own_names_are_answered(host: str, status: int) -> None:
    code, headers, content = ask("GET", "/health", hosts=("localhost", "[::1]"), Host=host)
    assert code == status
    assert headers[b"x-frame-options"] == b"DENY"
    if status == 421:
        assert (
            content["error"] == f"this server answers to the name localhost or [::1], not {host!r}"
        )


def test_answers_that_are_no_forecasts_have_no_log(tmp_path: Path) -> None:
    holder: Any = SimpleNamespace(champion=CHAMPION, registry_error="")
    with pytest.raises(ParamsError, match="the answers of /complete have no log"):
        app.build(holder, Limits(), log=(tmp_path, LogLimit(days=1)))
