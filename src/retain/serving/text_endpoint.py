"""The base of endpoints that answer lines of text.

A request has one or several lines, and settings for all of them. The lines are answered one after
another in a worker thread, and requests take turns after each line: so a long request does not
block the others, and a request that has timed out is not continued.
"""

import asyncio
from abc import ABC, abstractmethod
from operator import itemgetter
from typing import Any, Generic, TypeVar

import pandas as pd
from fastapi import Response
from prometheus_client import CollectorRegistry, Counter
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from retain.config.kind import Predictor
from retain.errors import DataError, read_rows
from retain.serving import http_io, pages
from retain.serving.champion import LoadedChampion
from retain.serving.endpoint import Answer, Limits
from retain.serving.http_io import OverloadedError, RawRequest
from retain.serving.requests import LinesRequest, parse

BODY = 2 * 2**20  # bytes of a request
LINES = 500  # of a request
LETTERS = 100_000  # of a line
UNITS = 10_000  # of a line, letters or words: it is read without a pause, in a second or two
STEPS = 50_000  # of the network for a request, and for all waiting requests

P = TypeVar("P", bound=Predictor)  # the class of the kind's predictors
R = TypeVar("R", bound=LinesRequest)


class Likeliest(BaseModel):
    """A possible answer."""

    value: str | float
    probability: float = Field(0.0, ge=0, le=1, description="There is none for a number.")


class LineAnswer(BaseModel):
    """The answer to a line."""

    likeliest: list[Likeliest] = Field(description="The likeliest first.")


class LinesAnswer(Answer):
    """The answers to lines, in their order."""

    answers: list[LineAnswer]


class LinesEndpoint(ABC, Generic[P, R]):
    """Answers lines of text; a subclass implements its kind."""

    path: str
    summary: str
    answer_model: type[Answer] = LinesAnswer
    request_model: type[R]
    lines_name: str  # the word for lines, in the plural
    template: str = "serving/lines.html.j2"  # of its page

    def __init__(self, limits: Limits, counters: CollectorRegistry):
        self.max_body, self._max_rows = min(limits.body, BODY), min(limits.rows, LINES)
        self.page = pages.page(self.template)
        help_text = f"{self.lines_name.capitalize()} answered."
        self._counter = Counter(f"retain_{self.lines_name}", help_text, registry=counters)
        self._column = self.request_model.column()
        self._turn, self._waiting_steps = asyncio.Lock(), 0

    @abstractmethod
    def count_units(self, predictor: P, line: str) -> int:
        """Count the units of a line, letters or words.

        Raises:
            DataError: the model cannot read it.
        """

    @abstractmethod
    def answer_line(self, predictor: P, line: str, request: R) -> dict[str, Any]:
        """Answer a line, as a `LineAnswer` of the kind.

        Raises:
            DataError: there is no answer.
        """

    @abstractmethod
    def to_row(self, predictor: P, answer: dict[str, Any]) -> dict[str, Any]:
        """Write the same as a row of CSV."""

    @abstractmethod
    def describe_vocabulary(self, predictor: P) -> dict[str, Any]:
        """Describe the allowed units of a line, for /model."""

    def count_steps(self, units: int, request: R) -> int:
        """Count the steps of the network that the answer to a line takes."""
        return units

    async def answer(self, champion: LoadedChampion[P], request: RawRequest) -> Response:
        """Answer a request's lines, in their order."""
        predictor, first_row = champion.predictor, 2 if request.is_csv else 1
        parsed, ignored = await asyncio.to_thread(parse, self.request_model, request)
        steps = await asyncio.to_thread(self._check, predictor, parsed, first_row)
        answers = await self._answer_in_turns(predictor, parsed, steps, first_row)
        self._counter.inc(len(answers))
        if request.wants_csv:
            table = pd.DataFrame([self.to_row(predictor, answer) for answer in answers])
            return http_io.answer(champion, table)
        return http_io.answer(champion, {"ignored": ignored, "answers": answers})

    async def _answer_in_turns(
        self, predictor: P, request: R, steps: list[int], first_row: int
    ) -> list[dict[str, Any]]:
        left = sum(steps)
        if self._waiting_steps and self._waiting_steps + left > STEPS:
            raise OverloadedError(f"too many {self.lines_name} wait")
        self._waiting_steps += left
        answers = []
        try:
            for line, size in zip(request.lines, steps, strict=True):
                async with self._turn:  # waiting requests get it in the order of their arrival
                    answer = asyncio.to_thread(self.answer_line, predictor, line, request)
                    answers.append(await answer)
                self._waiting_steps -= size
                left -= size
        except DataError as error:
            row, reason = first_row + len(answers), str(error).removeprefix(f"{self._column}: ")
            raise DataError(f"{self._column}: row {row}: {reason}") from None
        finally:
            self._waiting_steps -= left
        return answers

    def _check(self, predictor: P, request: R, first_row: int) -> list[int]:
        """Check the number of steps of the lines; return the steps of each.

        Raises:
            HTTPException: 413, there are too many.
            DataError: the model cannot read some of them.
        """
        rows = len(request.lines)
        if rows > self._max_rows:
            raise HTTPException(
                413,
                f"{self._column} has {rows:,} rows; at most {self._max_rows:,} are read: send "
                f"fewer {self.lines_name} at once",
            )
        row, letters = max(enumerate(map(len, request.lines), first_row), key=itemgetter(1))
        if letters > LETTERS:
            raise HTTPException(
                413,
                f"{self._column}: row {row} has {letters:,} letters; at most {LETTERS:,} are read: "
                f"cut it",
            )

        def count_steps(line: str) -> int:
            units = self.count_units(predictor, line)
            if units > UNITS:
                raise DataError(f"{units:,} letters or words; at most {UNITS:,} are read: cut it")
            return self.count_steps(units, request)

        steps = read_rows(request.lines, self._column, count_steps, first_row)
        if sum(steps) > STEPS:
            raise HTTPException(
                413,
                f"{self._column}: {sum(steps):,} steps are too many for one request, at most "
                f"{STEPS:,} are made: send fewer {self.lines_name}, or ask for less of each",
            )
        return steps

    def describe(self, champion: LoadedChampion[P]) -> dict[str, Any]:
        """Describe the fields of a request."""
        return {
            "path": self.path,
            "column": self._column,
            "settings": self._settings(),
            "trained_on": champion.predictor.trained_on(),
            "example": champion.example[self._column].tolist(),
            **self.describe_vocabulary(champion.predictor),
        }

    def example_csv(self, champion: LoadedChampion[P]) -> str:
        """Write the example, with its one column."""
        return str(champion.example.to_csv(index=False))

    def describe_request(self, champion: LoadedChampion[P]) -> dict[str, Any]:
        """Describe the request's model, with the champion's example; its settings as parameters."""
        settings, lines = self._settings(), champion.example[self._column].tolist()
        defaults = {name: schema["default"] for name, schema in settings.items()}
        as_json = {
            "schema": self.request_model.model_json_schema(),
            "examples": {
                "One": {"value": {self._column: lines[0]}},
                "Several": {"value": {self._column: lines} | defaults},
            },
        }
        return {
            "requestBody": http_io.describe_body(as_json, self.example_csv(champion)),
            "parameters": [
                {"name": name, "in": "query", "schema": schema} for name, schema in settings.items()
            ],
        }

    def _settings(self) -> dict[str, Any]:
        """Return the settings as JSON Schema has them, by name."""
        properties: dict[str, Any] = self.request_model.model_json_schema()["properties"]
        return {name: schema for name, schema in properties.items() if name != self._column}
