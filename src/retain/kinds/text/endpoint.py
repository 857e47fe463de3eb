"""How `retain serve` asks a reader of text: what comes next, and the text continued."""

from typing import Any

from retain.kinds.text.predictor import COLUMN, Predictor
from retain.serving.requests import Setting
from retain.serving.text_endpoint import Lines, lines_operation

SHOWN = 5  # likeliest units
SETTINGS = {  # as `retain complete` has them
    "length": Setting(60, 1, 1000, "Letters, or words, to go on with."),
    "temperature": Setting(0.5, 0.01, 100, "Below 1, likelier ones are drawn more often."),
    "seed": Setting(1, 0, 2**63 - 1, "Of the draws."),
}


class Service(Lines):
    """Goes on with texts."""

    path = "/complete"
    summary = "Texts continued"
    operation = lines_operation(
        "Say what comes next in each text, and go on with it",
        "The likeliest units and the continuation of each text",
        continued={"type": "string", "description": "What follows the text."},
    )
    column = COLUMN
    counted = "texts"
    settings = SETTINGS

    def read(self, served: Predictor, line: str) -> tuple[list[int], int]:
        """The text as numbers."""
        tokens = served.read(line)
        return tokens, len(tokens)

    def steps(self, units: int, settings: dict[str, Any]) -> int:
        """One for each unit that is read, or drawn."""
        return units + int(settings["length"])

    def answered(self, served: Predictor, line: list[int], **settings: Any) -> dict[str, Any]:
        """What `retain complete` says."""
        likeliest = served.following(line)[:SHOWN]
        return {
            "likeliest": [{"value": unit, "probability": share} for unit, share in likeliest],
            "continued": served.continued(line, **settings),
        }

    def row(self, served: Predictor, answer: dict[str, Any]) -> dict[str, Any]:
        """`next_1`, `probability_1` and so on, and `continued`."""
        found: dict[str, Any] = {}
        for number, each in enumerate(answer["likeliest"], 1):
            found |= {f"next_{number}": each["value"], f"probability_{number}": each["probability"]}
        return found | {"continued": answer["continued"]}

    def about(self, served: Predictor) -> dict[str, Any]:
        """Its units, and which it knows."""
        schema = served.schema
        return {"unit": schema.unit, "lower": schema.lower, "vocabulary": schema.vocabulary[1:]}
