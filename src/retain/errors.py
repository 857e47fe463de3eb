"""Errors a user can act on, and the one place that turns them into a sentence and an exit code.

Exit codes: 0 done, 2 the input is wrong or the disk full, 130 Ctrl-C, 143 SIGTERM; `retain prove`
has 1 and 3 of its own, `pipelines/retrain.py` 1 and 4. Anything else is a defect of retain itself
and keeps its traceback.
"""

import errno
import json
import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from retain.words import clipped, listed, shortened

T = TypeVar("T")
Read = TypeVar("Read")

# Whether a remedy is named as an option of the command that runs, not as a key of params.yaml.
_BY_OPTION: ContextVar[bool] = ContextVar("by_option", default=False)
# Keys of `data` that hold a list, of which an option names one value at a time.
LISTS = {
    "value_columns": "value-column",
    "past_covariates": "past-covariate",
    "known_covariates": "known-covariate",
    "static_covariates": "static-covariate",
    "na_values": "na-value",
    "keep_values": "keep-value",
    "drop": "drop",
}
# All keys whose option has another name.
OPTIONS = LISTS | {
    "split.validation": "validation",
    "split.test": "test",
    "evaluation.folds": "folds",
}


class RetainError(Exception):
    """Base of every error that is the input's fault; its text names the place and the remedy."""

    def __str__(self) -> str:
        return shortened(super().__str__())


class ParamsError(RetainError):
    """params.yaml has a wrong, missing or unknown key."""


class DataError(RetainError):
    """A table cannot be used as it is."""


@dataclass(frozen=True)
class Choice:
    """One answer to a question about a table: what it means, and the keys of `data` that say so."""

    label: str
    settings: dict[str, Any]

    @property
    def options(self) -> str:
        """The answer as options of `retain add`."""
        return " ".join(option(key, value) for key, value in self._pairs())

    @property
    def keys(self) -> str:
        """The answer as keys of params.yaml, or as options where these are named."""
        if _BY_OPTION.get():
            return self.options
        return ", ".join(setting(key, value) for key, value in self._pairs())

    def _pairs(self) -> list[tuple[str, Any]]:
        return [
            (key, value)
            for key, values in self.settings.items()
            for value in (values if isinstance(values, list | tuple) else [values])
        ]


class AmbiguousError(DataError):
    """A table has more than one reading: a question, with numbered answers.

    Its text is the question and what to write or type, for where nobody can be asked.

    Args:
        question: names file, column or row, and what is doubtful.
        choices: the readings.
        proposal: the number of the one that is likely, from 0; None where none is.
    """

    def __init__(self, question: str, choices: Sequence[Choice], proposal: int | None = None):
        self.question, self.choices, self.proposal = question, tuple(choices), proposal
        lines = [f"{choice.keys}: {choice.label}" for choice in choices]
        super().__init__(f"{question}; say which:\n{listed(lines)}")


class ModelError(RetainError):
    """A model folder is missing, damaged or does not fit the data."""


class IncomparableError(RetainError):
    """Two models cannot be scored on the same windows."""


class RegistryError(RetainError):
    """The model registry cannot answer: no such model, version or alias."""


class GitError(RetainError):
    """Git refuses, as where another user owns the repository."""


class NoRepositoryError(GitError):
    """Git is not installed, or the folder is in no repository."""


class DvcError(RetainError):
    """DVC refuses, or cannot be asked."""


class ProofError(RetainError):
    """A model cannot be made anew: its commit or data is gone, or a stage fails."""


# Errors of the system that a user can mend: no rights, a read-only or full disk, a wrong path.
OF_THE_SYSTEM = (
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EISDIR, errno.ENOTDIR,
    errno.ELOOP, errno.ENAMETOOLONG, errno.EMFILE, errno.EIO,
)  # fmt: skip
FULL = (errno.ENOSPC, errno.EDQUOT)
NOTHING = "no output was written"


class Terminated(BaseException):
    """SIGTERM arrived; not an `Exception`, so no handler on the way mistakes it for a failure."""


def stop_on_sigterm() -> None:
    """Make SIGTERM unwind the stack, so that temporary files are removed on the way out."""

    def stop(signum: int, frame: object) -> NoReturn:
        raise Terminated

    signal.signal(signal.SIGTERM, stop)


def terminate_with_parent() -> None:
    """Send this process SIGTERM when its parent ends, also by a kill; on Linux alone."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


@contextmanager
def stopped_after(written: str) -> Iterator[None]:
    """Name what is written already, if the program is stopped while the block runs."""
    try:
        yield
    except (KeyboardInterrupt, Terminated) as stop:
        raise type(stop)(written) from None


def run(main: Callable[[], object]) -> NoReturn:
    """Run a program's `main` and exit with the code its end deserves."""
    stop_on_sigterm()
    if "DVC_STAGE" in os.environ:  # else a stage goes on unseen after its DVC, and runs once more
        terminate_with_parent()
    try:
        main()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # all is done: there is nothing to stop
    except RetainError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        if error.errno not in OF_THE_SYSTEM:
            raise
        where = f" ({clipped(error.filename, 300)})" if error.filename else ""
        remedy = "; make room and start again" if error.errno in FULL else ""
        print(f"error: {error.strerror}{where}{remedy}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt as stop:
        print(f"interrupted: {stop.args[0] if stop.args else NOTHING}", file=sys.stderr)
        sys.exit(130)
    except Terminated as stop:
        print(f"terminated: {stop.args[0] if stop.args else NOTHING}", file=sys.stderr)
        sys.exit(143)
    sys.exit(0)


@contextmanager
def naming_options() -> Iterator[None]:
    """Name remedies as options of `retain add`, while the block runs."""
    token = _BY_OPTION.set(True)
    try:
        yield
    finally:
        _BY_OPTION.reset(token)


def option(key: str, value: Any = "") -> str:
    """Return a key of `data` as an option of `retain add`, with its value as a shell takes it.

    >>> option("decimal", ","), option("na_values", "n/a"), option("ds_is_step", True)
    ('--decimal ,', '--na-value n/a', '--ds-is-step')
    >>> option("time_format", "%d/%m/%Y %H:%M")
    "--time-format '%d/%m/%Y %H:%M'"
    """
    key = key.removeprefix("data.")
    name = "--" + OPTIONS.get(key, key.replace("_", "-"))
    if value is True or value == "":
        return name
    return f"{name} {shlex.quote(f'{value:.15g}' if isinstance(value, float) else str(value))}"


def setting(key: str, value: Any = "") -> str:
    """Return a key of `data` with a value as what a person types: in params.yaml, or as an option.

    >>> setting("decimal", ","), setting("duplicates", "first"), setting("timezone")
    ('`decimal: ","`', '`duplicates: first`', '`timezone`')
    >>> with naming_options():
    ...     setting("decimal", ",")
    '`--decimal ,`'
    """
    if _BY_OPTION.get():
        return f"`{option(key, value)}`"
    if value == "":
        return key if "." in key else f"`{key}`"
    plain = not isinstance(value, str) or value.replace("_", "").isalnum()
    shown = json.dumps(value, ensure_ascii=False) if not plain or value is True else str(value)
    return f"`{key}: [{shown}]`" if key in LISTS else f"`{key}: {shown}`"


def read_rows(
    values: Iterable[T], name: str, read: Callable[[T], Read], first_row: int = 1
) -> list[Read]:
    """Read each value of the column `name`.

    Raises:
        DataError: `read` raises it for some rows, whose sentences it lists without the middle of
            what they cite, where that is long.
    """
    found, faults = [], []
    for row, value in enumerate(values, first_row):
        try:
            found.append(read(value))
        except DataError as error:
            fault = str(error)
            fault = fault if len(fault) <= 500 else f"{fault[:200]} … {fault[-300:]}"
            faults.append(f"row {row}: {fault}")
    if faults:
        raise DataError(f"{name}:\n{listed(faults)}")
    return found
