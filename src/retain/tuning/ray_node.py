"""What an actor of a Ray cluster does with a trial."""

import json
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from retain.engine import processes
from retain.engine.worker import check_seen
from retain.errors import RetainError


class Node:
    """The process of trials on a node, which an actor holds."""

    def __init__(self, words: Sequence[str]):
        self._words = words
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        """Return as soon as the actor has its place on a node."""

    def exchange(self, text: str) -> str:
        """Send a line to the process, if there is one, and return the next line that it says."""
        if self._process is None:
            try:
                check_seen(Path(self._words[0]))
            except RetainError as error:
                return json.dumps({"error": str(error)})
            self._process = processes.started(["-m", "retain.tuning.worker", *self._words])
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):  # it has ended, and may have said why
            self._process.stdin.write(text.encode())
        if found := self._process.stdout.readline():
            return found.decode()
        self._process.communicate()
        code, self._process = self._process.returncode, None
        return json.dumps({"lost": f"exit code {code}"})
