"""Lines of several requests are answered in turns, and what nobody waits for is not."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from fastapi import Request
from prometheus_client import CollectorRegistry

from retain.errors import DataError
from retain.serving import text_endpoint
from retain.serving.batcher import OverloadedError
from retain.serving.endpoint import Limits
from retain.serving.requests import Setting
from retain.serving.text_endpoint import Lines

MODEL: Any = SimpleNamespace(name="echo", version="1", md5="x", served=None)


class Echo(Lines):
    """Answers a line with itself, and remembers which it was asked."""

    path, summary, operation = "/echo", "Echoes", {}
    column, counted = "line", "lines"
    settings = {"times": Setting(1, 1, 9, "How often.")}  # noqa: RUF012
    seen: list[str]

    def read(self, served: Any, line: str) -> tuple[str, int]:
        return line, len(line)

    def answered(self, served: Any, line: str, times: int) -> dict[str, Any]:
        self.seen.append(line)
        if line == "bad":
            raise DataError("line: it is bad")
        return {"likeliest": [{"value": times * line}]}

    def row(self, served: Any, answer: dict[str, Any]) -> dict[str, Any]:
        return {"answer": answer["likeliest"][0]["value"]}

    def about(self, served: Any) -> dict[str, Any]:
        return {}

    async def ask(self, *given: str, **settings: int) -> list[str]:
        """The answers to lines in JSON."""
        request = Request({"type": "http", "query_string": b"", "headers": []})
        body = orjson.dumps({"line": given, **settings})
        answer = await self.answer(MODEL, request, body, False, False)
        found = orjson.loads(answer.body)["answers"]
        return [each["likeliest"][0]["value"] for each in found]


@pytest.fixture
def echo() -> Echo:
    async def run_in_thread(work: Callable[..., Any], *given: Any) -> Any:
        await asyncio.sleep(0)
        return work(*given)

    made = Echo(Limits(), CollectorRegistry(), run_in_thread)
    made.seen = []
    return made


def together(*asked: Any) -> list[Any]:
    async def gathered() -> list[Any]:
        return list(await asyncio.gather(*asked, return_exceptions=True))

    return asyncio.run(gathered())


def test_settings_hold_for_all_lines_of_a_request(echo: Echo) -> None:
    assert together(echo.ask("a", "b", times=2), echo.ask("c")) == [["aa", "bb"], ["c"]]


def test_requests_take_turns_line_by_line(echo: Echo) -> None:
    assert together(echo.ask("a", "b", "c"), echo.ask("x", "y")) == [["a", "b", "c"], ["x", "y"]]
    assert echo.seen == ["a", "x", "b", "y", "c"]


def test_too_many_are_refused_and_a_large_one_alone_is_not(
    echo: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_endpoint, "STEPS", 10)
    found = together(echo.ask("abcde", "fghij"), echo.ask("k"))
    assert found[0] == ["abcde", "fghij"]
    assert isinstance(found[1], OverloadedError)
    assert together(echo.ask("k")) == [["k"]], "nothing is left over"


def test_an_error_names_the_row_and_the_next_is_answered(echo: Echo) -> None:
    found = together(echo.ask("a", "bad", "c"), echo.ask("x", "y"))
    assert str(found[0]) == "line: row 2: it is bad"
    assert found[1] == ["x", "y"]
    assert "c" not in echo.seen
    assert together(echo.ask("k" * text_endpoint.UNITS)) == [["k" * text_endpoint.UNITS]], (
        "nothing is left over"
    )


def test_who_is_gone_is_not_computed_for(echo: Echo) -> None:
    async def leave() -> None:
        gone = asyncio.create_task(echo.ask(*"abcdefgh"))
        while not echo.seen:
            await asyncio.sleep(0)
        gone.cancel()
        await asyncio.wait([gone])
        assert await echo.ask("x") == ["x"]

    asyncio.run(leave())
    assert len(echo.seen) <= 3
    assert echo.seen[-1] == "x"
