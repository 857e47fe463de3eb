"""The endpoint of a language model: the likeliest next units, and a continuation."""

from typing import Any

from pydantic import Field

from retain.kinds.text.predictor import COLUMN, Predictor
from retain.serving.endpoint import Answer
from retain.serving.requests import Lines, LinesRequest, WholeNumber
from retain.serving.text_endpoint import LineAnswer, LinesEndpoint

SHOWN = 5  # likeliest units


class CompleteRequest(LinesRequest):
    """Texts to continue; the default settings are those of `retain complete`."""

    lines: Lines = Field(alias=COLUMN)
    length: WholeNumber = Field(60, ge=1, le=1000, description="Letters, or words, to go on with.")
    temperature: float = Field(
        0.5, ge=0.01, le=100, description="Below 1, likelier ones are drawn more often."
    )
    seed: WholeNumber = Field(1, ge=0, le=2**63 - 1, description="Of the draws.")


class Continuation(LineAnswer):
    """The likeliest next units of a text, and a continuation."""

    continued: str = Field(description="What follows the text.")


class CompleteAnswer(Answer):
    """The answers to the texts, in their order."""

    answers: list[Continuation]


class CompleteEndpoint(LinesEndpoint[Predictor, CompleteRequest]):
    """Continues texts."""

    path = "/complete"
    summary = "Continue each text: the likeliest next units, and a continuation"
    answer_model = CompleteAnswer
    request_model = CompleteRequest
    lines_name = "texts"

    def count_units(self, predictor: Predictor, line: str) -> int:
        """Count its letters or words."""
        return len(predictor.read(line))

    def count_steps(self, units: int, request: CompleteRequest) -> int:
        """Count one for each unit that is read, or drawn."""
        return units + request.length

    def answer_line(
        self, predictor: Predictor, line: str, request: CompleteRequest
    ) -> dict[str, Any]:
        """Return the answers of `retain complete`."""
        tokens = predictor.read(line)
        likeliest = predictor.following(tokens)[:SHOWN]
        return {
            "likeliest": [{"value": unit, "probability": share} for unit, share in likeliest],
            "continued": predictor.continued(
                tokens, request.length, request.temperature, request.seed
            ),
        }

    def to_row(self, predictor: Predictor, answer: dict[str, Any]) -> dict[str, Any]:
        """Return the columns `next_1`, `probability_1` and so on, and `continued`."""
        row: dict[str, Any] = {}
        for number, likely in enumerate(answer["likeliest"], 1):
            row[f"next_{number}"] = likely["value"]
            row[f"probability_{number}"] = likely["probability"]
        return row | {"continued": answer["continued"]}

    def describe_vocabulary(self, predictor: Predictor) -> dict[str, Any]:
        """Return the type of its units, and its vocabulary."""
        schema = predictor.schema
        return {"unit": schema.unit, "lower": schema.lower, "vocabulary": schema.vocabulary[1:]}
