"""The endpoint of a recall model: the answers to sequences."""

from typing import Any

import pandas as pd
from pydantic import Field

from retain.kinds.recall.predictor import COLUMN, Predictor
from retain.serving.requests import Lines, LinesRequest
from retain.serving.text_endpoint import LinesEndpoint


class AskRequest(LinesRequest):
    """Sequences to answer."""

    lines: Lines = Field(alias=COLUMN)


class AskEndpoint(LinesEndpoint[Predictor, AskRequest]):
    """Answers sequences."""

    path = "/ask"
    summary = "Answer each sequence: the answers with their probabilities"
    request_model = AskRequest
    lines_name = "sequences"

    def count_units(self, predictor: Predictor, line: str) -> int:
        """Count its words or numbers."""
        return len(predictor.read(line)[0])

    def answer_line(self, predictor: Predictor, line: str, request: AskRequest) -> dict[str, Any]:
        """Return the answers of `retain ask`; a number with all its digits."""
        if predictor.schema.answers:
            shares = predictor.ask(line)
            return {"likeliest": [{"value": name, "probability": p} for name, p in shares]}
        answer = predictor.predict(pd.DataFrame({COLUMN: [line]}))
        return {"likeliest": [{"value": float(answer["answer"][0])}]}

    def to_row(self, predictor: Predictor, answer: dict[str, Any]) -> dict[str, Any]:
        """Return the columns of `Predictor.predict`."""
        best = answer["likeliest"][0]
        if "probability" not in best:
            return {"answer": best["value"]}
        shares = {likely["value"]: likely["probability"] for likely in answer["likeliest"]}
        return {"answer": best["value"], "probability": best["probability"]} | {
            f"p({name})": shares[name] for name in predictor.schema.answers
        }

    def describe_vocabulary(self, predictor: Predictor) -> dict[str, Any]:
        """Return its words and its answers; no answers if the answer is a number."""
        return {"vocabulary": predictor.schema.vocabulary, "answers": predictor.schema.answers}
