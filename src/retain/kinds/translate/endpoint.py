"""The endpoint of a translation model: translations of each sentence, and what they look at."""

from typing import Any

from pydantic import Field

from retain.kinds.translate.beam_search import most_steps
from retain.kinds.translate.predictor import BEAM, COLUMN, Predictor
from retain.serving.endpoint import Answer
from retain.serving.requests import Lines, LinesRequest, WholeNumber
from retain.serving.text_endpoint import LineAnswer, LinesEndpoint

DIGITS = 4  # of a weight


class TranslateRequest(LinesRequest):
    """Sentences to translate."""

    lines: Lines = Field(alias=COLUMN)
    beam: WholeNumber = Field(
        BEAM, ge=1, le=20, description="Translations that are followed at once; 1 is greedy."
    )


class Translated(LineAnswer):
    """The translation of a sentence, and others that are likely."""

    translation: str = Field(description="The best translation.")
    source: list[str] = Field(description="The pieces of words that the network read.")
    target: list[str] = Field(description="The pieces of words that it wrote.")
    attention: list[list[float]] | None = Field(
        description="Of each piece that it wrote, and of the end, the weight of each that it read; "
        "null for a network without attention."
    )


class TranslateAnswer(Answer):
    """The answers to the sentences, in their order."""

    answers: list[Translated]


class TranslateEndpoint(LinesEndpoint[Predictor, TranslateRequest]):
    """Translates sentences."""

    path = "/translate"
    summary = "Translate each sentence: the best translation, others, and the attention"
    answer_model = TranslateAnswer
    request_model = TranslateRequest
    lines_name = "sentences"

    def count_units(self, predictor: Predictor, line: str) -> int:
        """Count its pieces of words."""
        return len(predictor.read(line))

    def count_steps(self, units: int, request: TranslateRequest) -> int:
        """Count one for each piece that is read, or may be written in each translation."""
        return units + request.beam * most_steps(units)

    def answer_line(
        self, predictor: Predictor, line: str, request: TranslateRequest
    ) -> dict[str, Any]:
        """Return the answers of `retain translate`."""
        translations = predictor.translate(line, request.beam)
        best = translations[0]
        return {
            "translation": best.text,
            "likeliest": [
                {"value": each.text, "probability": each.probability} for each in translations
            ],
            "source": best.source,
            "target": best.target,
            "attention": None if best.attention is None else best.attention.round(DIGITS).tolist(),
        }

    def to_row(self, predictor: Predictor, answer: dict[str, Any]) -> dict[str, Any]:
        """Return the columns `translation` and `probability`."""
        probability = answer["likeliest"][0]["probability"]
        return {"translation": answer["translation"], "probability": probability}

    def describe_vocabulary(self, predictor: Predictor) -> dict[str, Any]:
        """Return the languages, and the number of pieces of words of each."""
        schema = predictor.schema
        pieces = [len(schema.source), len(schema.target)]
        return {"languages": schema.languages, "pieces": pieces}
