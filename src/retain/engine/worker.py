"""A process that does parts: python -m retain.engine.worker.

Each line of its standard input is a part, and each line of its standard output says what became of
one. It ends when its standard input ends.
"""

import json
import os
import select
import threading
from collections.abc import Mapping
from io import FileIO
from pathlib import Path
from typing import Any

from retain import errors
from retain.engine import mapping
from retain.errors import DataError, RetainError

Message = dict[str, Any]


def main() -> None:
    """Do one part after another."""
    asked, answers = own_channels()
    end_with_parent()
    answers.write(line({"slots": 1}))
    while text := asked.readline():
        task = json.loads(text)
        answers.write(line({"part": task["part"]} | attempt(task)))


def own_channels() -> tuple[FileIO, FileIO]:
    """Keep the standard streams for messages; what libraries print goes to the standard error."""
    asked, answers = FileIO(0, "rb"), FileIO(os.dup(1), "wb")
    os.dup2(2, 1)
    return asked, answers


def end_with_parent() -> None:
    """End this process with the one that asks, even if that was killed."""

    def wait() -> None:
        watched = select.poll()
        watched.register(0, 0)  # the end of the standard input alone
        watched.poll()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def line(message: Message) -> bytes:
    """Return a message as a line."""
    return json.dumps(message).encode() + b"\n"


def check_seen(folder: Path) -> None:
    """Check that this node sees a folder; raises RetainError if not."""
    if not folder.is_dir():
        raise RetainError(
            f"node {os.uname().nodename} does not see {folder}; every node needs the project's "
            "folder at the same path, on a file system that all share"
        )


def attempt(task: Mapping[str, Any]) -> Message:
    """Do a part, and return an empty message, or how it failed."""
    root = Path(task["root"])
    output = Path(task["output"])
    try:
        for path in (root, output.parent):
            check_seen(path)
        mapping.do(task["function"], output, task["arguments"])
    except RetainError as error:
        return {"failed": type(error).__name__, "text": str(error)}
    except OSError as error:
        return {"failed": "OSError", "errno": error.errno, "text": error.strerror or str(error)} | (
            {"path": os.fspath(error.filename)} if isinstance(error.filename, str | Path) else {}
        )
    except BaseException:
        import traceback

        return {"failed": "", "text": traceback.format_exc()}
    return {}


def failure(message: Message) -> Exception:
    """Return the error that a message of a failed part tells of, as this process would raise it."""
    name, text = message["failed"], message["text"]
    if name == "OSError":
        return OSError(message["errno"], text, message.get("path"))
    if not name:
        return RuntimeError(text)
    kind = getattr(errors, name, RetainError)  # the other where it is of another module
    if "__init__" in vars(kind):  # made of more than a text
        kind = DataError
    error: Exception = kind(text)
    return error


if __name__ == "__main__":
    main()
