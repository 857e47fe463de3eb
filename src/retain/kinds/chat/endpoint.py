"""The endpoint of a chat model: replies to lines, with a state that travels with the client.

The server keeps nothing of a conversation. A state is signed with a key that each process draws for
itself, so that no client can give the network a state of its own making, and names the model, so
that no other model reads it.
"""

import base64
import hmac
import secrets
from typing import Any

import numpy as np
import torch
from prometheus_client import CollectorRegistry
from pydantic import BaseModel, Field

from retain.errors import DataError
from retain.kinds.chat.network import LONGEST
from retain.kinds.chat.predictor import COLUMN, Predictor
from retain.networks.recurrent import State
from retain.serving.endpoint import Answer, Limits
from retain.serving.requests import Lines, LinesRequest
from retain.serving.text_endpoint import LinesEndpoint

SIGNATURE, FINGERPRINT = 32, 32  # bytes
FOREIGN = (
    "`state` is none that this server gave for its present model: begin a new conversation, "
    "without `state`"
)


class ChatRequest(LinesRequest):
    """The next lines of a conversation, or of several; without `state` they are its first."""

    lines: Lines = Field(alias=COLUMN)
    state: str = Field("", max_length=200_000, description="Of the answer to the lines before.")


class Reply(BaseModel):
    """The replies to the lines of a conversation."""

    reply: str = Field(description="To the last line.")
    replies: list[str] = Field(description="To all lines.")
    state: str = Field(description="To be sent with the next line.")


class ChatAnswer(Answer):
    """The replies in each conversation, in their order."""

    answers: list[Reply]


class ChatEndpoint(LinesEndpoint[Predictor, ChatRequest]):
    """Replies to lines."""

    path = "/chat"
    summary = "Reply to the next line of a conversation, or to several"
    answer_model = ChatAnswer
    request_model = ChatRequest
    lines_name = "conversations"
    template = "kinds/chat/chat.html.j2"

    def __init__(self, limits: Limits, counters: CollectorRegistry):
        super().__init__(limits, counters)
        self._key = secrets.token_bytes(SIGNATURE)

    def count_units(self, predictor: Predictor, line: str) -> int:
        """Count its words, and those that may be replied."""
        lines = predictor.read(line)
        return sum(map(len, lines)) + LONGEST * len(lines)

    def answer_line(self, predictor: Predictor, line: str, request: ChatRequest) -> dict[str, Any]:
        """Reply to each line of a conversation, from the state of the request."""
        state = self.open(predictor, request.state) if request.state else predictor.network.begin()
        replies, state = predictor.converse(predictor.read(line), state)
        return {"reply": replies[-1], "replies": replies, "state": self.seal(predictor, state)}

    def to_row(self, predictor: Predictor, answer: dict[str, Any]) -> dict[str, Any]:
        """Return the same, with line ends between the replies."""
        return answer | {"replies": "\n".join(answer["replies"])}

    def describe_vocabulary(self, predictor: Predictor) -> dict[str, Any]:
        """Return its words."""
        return {"vocabulary": list(predictor.words)}

    def seal(self, predictor: Predictor, state: State) -> str:
        """Write a state as signed text."""
        parts = state if isinstance(state, tuple) else (state,)
        content = predictor.fingerprint + torch.cat(parts).numpy().astype("<f4").tobytes()
        signed = hmac.digest(self._key, content, "sha256") + content
        return base64.urlsafe_b64encode(signed).decode()

    def open(self, predictor: Predictor, text: str) -> State:
        """Read a state that `seal` wrote, for the same model.

        Raises:
            DataError: it did not, or for another model.
        """
        try:
            signed = base64.b64decode(text, altchars=b"-_", validate=True)
        except ValueError:
            raise DataError(FOREIGN) from None
        signature, content = signed[:SIGNATURE], signed[SIGNATURE:]
        if not hmac.compare_digest(signature, hmac.digest(self._key, content, "sha256")):
            raise DataError(FOREIGN)
        if content[:FINGERPRINT] != predictor.fingerprint:
            raise DataError(FOREIGN)
        numbers = torch.from_numpy(np.frombuffer(content[FINGERPRINT:], "<f4").copy())
        hidden = predictor.network.cell.hidden_size
        parts = numbers.view(-1, 1, 1, hidden)
        return (parts[0], parts[1]) if len(parts) == 2 else parts[0]
