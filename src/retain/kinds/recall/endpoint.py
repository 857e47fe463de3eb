"""How `retain serve` asks a recaller: the answers to sequences."""

from typing import Any

import pandas as pd

from retain.kinds.recall.predictor import COLUMN, Predictor
from retain.serving.text_endpoint import Lines, lines_operation


class Service(Lines):
    """Answers sequences."""

    path = "/ask"
    summary = "Answers"
    operation = lines_operation(
        "Answer each sequence", "The answers to each sequence with their probabilities"
    )
    column = COLUMN
    counted = "sequences"

    def read(self, served: Predictor, line: str) -> tuple[str, int]:
        """The sequence as it is, if the model can read it."""
        return line, len(served.read(line)[0])

    def answered(self, served: Predictor, line: str, **settings: Any) -> dict[str, Any]:
        """What `retain ask` says; a number with all its digits."""
        if served.schema.answers:
            shares = served.ask(line)
            return {"likeliest": [{"value": name, "probability": p} for name, p in shares]}
        found = served.predict(pd.DataFrame({COLUMN: [line]}))
        return {"likeliest": [{"value": float(found["answer"][0])}]}

    def row(self, served: Predictor, answer: dict[str, Any]) -> dict[str, Any]:
        """As `Predictor.predict` has it."""
        best = answer["likeliest"][0]
        if "probability" not in best:
            return {"answer": best["value"]}
        shares = {each["value"]: each["probability"] for each in answer["likeliest"]}
        return {"answer": best["value"], "probability": best["probability"]} | {
            f"p({name})": shares[name] for name in served.schema.answers
        }

    def about(self, served: Predictor) -> dict[str, Any]:
        """The words that it knows, and its answers; none where the answer is a number."""
        return {"vocabulary": served.schema.vocabulary, "answers": served.schema.answers}
