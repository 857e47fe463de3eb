"""What a worker of a Ray cluster does with a part."""

import json
import os

from retain.engine import worker


def do(text: str) -> str:
    """Do a part, given as a line of JSON, and return the message of it."""
    message = worker.attempt(json.loads(text))
    return json.dumps(message | {"node": os.uname().nodename})
