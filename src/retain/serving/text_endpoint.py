"""What the rooms `web` of kinds share that answer lines of text.

A request has one line or several, and settings for all of them. The lines are answered one after
another in a thread beside the sockets, and each request waits for its turn again after each line:
so a long request does not keep the others waiting, and one whose time is over takes no more.
"""

import asyncio
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import pandas as pd
from fastapi import Request, Response
from prometheus_client import CollectorRegistry, Counter

from retain.errors import DataError, listed
from retain.serving import http_io, requests
from retain.serving.batcher import OverloadedError
from retain.serving.champion import Loaded
from retain.serving.description import CSV, operation
from retain.serving.endpoint import Limits, RunInThread, Service
from retain.serving.http_io import Refused
from retain.serving.requests import Setting

BODY = 2 * 2**20  # bytes of a request
LINES = 500  # of a request
LETTERS = 100_000  # of a line
UNITS = 10_000  # of a line, letters or words: it is read at a stretch, in a second or two
STEPS = 50_000  # of the network for a request, and for all that wait
LIKELIEST: dict[str, Any] = {
    "type": "array",
    "description": "The likeliest first.",
    "items": {
        "type": "object",
        "required": ["value"],
        "properties": {
            "value": {"type": ["string", "number"]},
            "probability": {"type": "number", "minimum": 0, "maximum": 1},
        },
    },
}


@dataclass(frozen=True)
class Asked:
    """A request as it was read."""

    lines: list[Any]  # each as `read` gives it
    steps: list[int]  # of the network, for each
    first_row: int
    settings: dict[str, Any]
    ignored: list[str]  # columns of a CSV file


class Lines(Service):
    """Answers lines of text; a subclass says how its kind does."""

    column: str  # the key of JSON and the column of CSV
    counted: str  # what a line is, in the plural
    settings: Mapping[str, Setting] = {}

    def __init__(self, limits: Limits, counters: CollectorRegistry, run_in_thread: RunInThread):
        self.body, self._rows = min(limits.body, BODY), min(limits.rows, LINES)
        self.page = files("retain.serving").joinpath("lines.html").read_text("utf-8")
        said = f"{self.counted.capitalize()} answered."
        self._counter = Counter(f"retain_{self.counted}", said, registry=counters)
        self._run_in_thread, self._turn = run_in_thread, asyncio.Lock()
        self._waiting = 0  # steps that wait

    @abstractmethod
    def read(self, served: Any, line: str) -> tuple[Any, int]:
        """A line as `answered` takes it, and how many units it has.

        Raises:
            DataError: the model cannot read it.
        """

    @abstractmethod
    def answered(self, served: Any, line: Any, **settings: Any) -> dict[str, Any]:
        """The answer to a line: `likeliest`, and what else the kind's operation names.

        Raises:
            DataError: there is none.
        """

    @abstractmethod
    def row(self, served: Any, answer: dict[str, Any]) -> dict[str, Any]:
        """The same as a row of CSV."""

    @abstractmethod
    def about(self, served: Any) -> dict[str, Any]:
        """What a request may consist of; `/model` and the page tell it."""

    def steps(self, units: int, settings: dict[str, Any]) -> int:
        """Steps of the network that the answer to a line takes."""
        return units

    async def answer(
        self, model: Loaded, request: Request, body: bytes, from_csv: bool, as_csv: bool
    ) -> Response:
        """The answers to a request's lines, in their order."""
        query = request.query_params.multi_items()
        asked = await self._run_in_thread(self._asked, model.served, query, body, from_csv)
        answers = await self._in_turns(model.served, asked)
        self._counter.inc(len(answers))
        if as_csv:
            return http_io.answer(
                model, pd.DataFrame([self.row(model.served, answer) for answer in answers])
            )
        return http_io.answer(model, {"ignored": asked.ignored, "answers": answers})

    async def _in_turns(self, served: Any, asked: Asked) -> list[dict[str, Any]]:
        left = sum(asked.steps)
        if self._waiting and self._waiting + left > STEPS:
            raise OverloadedError(f"too many {self.counted} wait; try again in a second")
        self._waiting += left
        found = []
        try:
            for row, (line, steps) in enumerate(
                zip(asked.lines, asked.steps, strict=True), asked.first_row
            ):
                async with self._turn:  # those that wait get it in the order in which they came
                    found.append(
                        await self._run_in_thread(self._answered, served, line, row, asked.settings)
                    )
                self._waiting -= steps
                left -= steps
        finally:
            self._waiting -= left
        return found

    def _answered(
        self, served: Any, line: Any, row: int, settings: dict[str, Any]
    ) -> dict[str, Any]:
        try:
            return self.answered(served, line, **settings)
        except DataError as error:
            said = str(error).removeprefix(f"{self.column}: ")
            raise DataError(f"{self.column}: row {row}: {said}") from None

    def _asked(
        self, served: Any, query: list[tuple[str, str]], body: bytes, from_csv: bool
    ) -> Asked:
        if from_csv:
            given, ignored = requests.from_csv(body, self.column)
            content: dict[str, Any] = {}
        else:
            content, ignored = requests.content(body, self.column, self.settings), []
            given = content.pop(self.column)
            given = given if isinstance(given, list) else [given]
        first_row = 2 if from_csv else 1
        self._check_size(given, first_row)
        settings = requests.settings(self.settings, [*content.items(), *requests.from_query(query)])
        lines, steps, faults = [], [], []
        for row, line in enumerate(given, first_row):
            try:
                read, units = self._read(served, line)
            except DataError as error:
                faults.append(f"row {row}: {requests.shortened(str(error))}")
                continue
            lines.append(read)
            steps.append(self.steps(units, settings))
        if faults:
            raise DataError(f"{self.column}:\n{listed(faults)}")
        if sum(steps) > STEPS:
            raise Refused(
                413,
                f"{self.column}: {sum(steps):,} steps are too many for one request, at most "
                f"{STEPS:,} are made: send fewer {self.counted}, or ask for less of each",
            )
        return Asked(lines, steps, first_row, settings, ignored)

    def _check_size(self, given: list[Any], first_row: int) -> None:
        if not given:
            raise Refused(422, f"{self.column} has no rows")
        if len(given) > self._rows:
            raise Refused(
                413,
                f"{self.column} has {len(given):,} rows; at most {self._rows:,} are read: send "
                f"fewer {self.counted} at once",
            )
        for row, line in enumerate(given, first_row):
            if isinstance(line, str) and len(line) > LETTERS:
                raise Refused(
                    413,
                    f"{self.column}: row {row} has {len(line):,} letters; at most {LETTERS:,} are "
                    f"read: cut it",
                )

    def _read(self, served: Any, line: Any) -> tuple[Any, int]:
        if not isinstance(line, str):
            raise DataError(f"{requests.shown(line)} is no text")
        read, units = self.read(served, line)
        if units > UNITS:
            raise DataError(f"{units:,} letters or words; at most {UNITS:,} are read: cut it")
        return read, units

    def described(self, model: Loaded) -> dict[str, Any]:
        """What a request may say."""
        return {
            "path": self.path,
            "column": self.column,
            "settings": {name: each.schema() for name, each in self.settings.items()},
            "trained_on": model.served.trained_on(),
            "example": model.example[self.column].tolist(),
            **self.about(model.served),
        }

    def csv(self, model: Loaded) -> str:
        """The example, with its one column."""
        return str(model.example.to_csv(index=False))

    def request(self, model: Loaded) -> dict[str, Any]:
        """The column and the settings."""
        text = {"type": "string", "minLength": 1}
        several = {
            "type": "array",
            "minItems": 1,
            "items": text,
            "description": f"At most {self._rows:,}.",  # more are 413, not 422
        }
        settings = {name: each.schema() for name, each in self.settings.items()}
        schema = {
            "type": "object",
            "required": [self.column],
            "additionalProperties": False,
            "properties": {self.column: {"oneOf": [text, several]}, **settings},
        }
        lines = model.example[self.column].tolist()
        examples = {
            "One": {"value": {self.column: lines[0]}},
            "Several": {
                "value": {self.column: lines}
                | {name: each.default for name, each in self.settings.items()}
            },
        }
        as_csv = CSV["text/csv"] | {"examples": {"CSV": {"value": self.csv(model)}}}
        content = {"application/json": {"schema": schema, "examples": examples}, "text/csv": as_csv}
        parameters = [
            {"name": name, "in": "query", "schema": each} for name, each in settings.items()
        ]
        return {
            "requestBody": {"required": True, "content": content},
            **({"parameters": parameters} if parameters else {}),
        }


def lines_operation(summary: str, said: str, **more: Any) -> dict[str, Any]:
    """What FastAPI is told of a path where lines are answered.

    Args:
        summary: what is asked there.
        said: what comes back.
        more: properties of an answer besides `likeliest`.
    """
    properties = {"likeliest": LIKELIEST, **more}
    answer = {"type": "object", "required": list(properties), "properties": properties}
    return operation(summary, said, {"answers": {"type": "array", "items": answer}})
