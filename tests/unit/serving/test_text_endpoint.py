"""Lines of several requests are answered in turns, and what nobody waits for is not."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from prometheus_client import CollectorRegistry
from pydantic import Field

from retain.errors import DataError
from retain.serving import text_endpoint
from retain.serving.endpoint import Limits
from retain.serving.http_io import OverloadedError, RawRequest
from retain.serving.requests import Lines, LinesRequest, WholeNumber
from retain.serving.text_endpoint import LinesEndpoint

CHAMPION: Any = SimpleNamespace(version="1", identity={"name": "echo"}, predictor=None)


class EchoRequest(LinesRequest):
    lines: Lines = Field(alias="line")
    times: WholeNumber = Field(1, ge=1, le=9)


class Echo(LinesEndpoint[Any, EchoRequest]):
    """Answers a line with itself, and remembers which it was asked."""

    path, title, summary = "/echo", "Echoes", "Echo each line"
    request_model = EchoRequest
    lines_name = "lines"
    seen: list[str]

    def count_units(self, predictor: Any, line: str) -> int:
        return len(line)

    def answer_line(self, predictor: Any, line: str, request: EchoRequest) -> dict[str, Any]:
        self.seen.append(line)
        if line == "bad":
            raise DataError("line: it is bad")
        return {"likeliest": [{"value": request.times * line}]}

    def to_row(self, predictor: Any, answer: dict[str, Any]) -> dict[str, Any]:
        return {"answer": answer["likeliest"][0]["value"]}

    def describe_vocabulary(self, predictor: Any) -> dict[str, Any]:
        return {}

    async def ask(self, *lines: str, **settings: int) -> list[str]:
        """The answers to lines in JSON."""
        raw = RawRequest(orjson.dumps({"line": lines, **settings}), [], False, False)
        answer = await self.answer(CHAMPION, raw)
        answers = orjson.loads(answer.body)["answers"]
        return [answer["likeliest"][0]["value"] for answer in answers]


@pytest.fixture
def echo(monkeypatch: pytest.MonkeyPatch) -> Echo:
    async def to_thread(work: Callable[..., Any], *arguments: Any) -> Any:
        await asyncio.sleep(0)
        return work(*arguments)

    monkeypatch.setattr(asyncio, "to_thread", to_thread)  # so that the order is always the same
    echo = Echo(Limits(), CollectorRegistry())
    echo.seen = []
    return echo


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
