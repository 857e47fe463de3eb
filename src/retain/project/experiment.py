"""Restore the layout and the comments of params.yaml after `dvc exp run -S`.

DVC reads the file, replaces every list in it, and writes the whole file: a list on one line takes
several lines, and the comments in and after a list are lost, also in problems that the experiment
does not change. A wrong value stays in the file when the experiment has failed.
"""

import copy
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError

from retain.errors import ParamsError
from retain.project.files import write_text
from retain.project.git import Git


@contextmanager
def keeping_params(root: Path) -> Iterator[None]:
    """Restore the layout of params.yaml's lists from the last commit, in an experiment.

    The block checks the file. If it raises ParamsError, the keys that the command line has set are
    restored as well, and the error says so.
    """
    if not os.environ.get("DVC_EXP_NAME") or not _is_written_by_dvc(root / "params.yaml"):
        yield
        return
    _mend(root, [])
    try:
        yield
    except ParamsError as error:
        keys = _overrides(_command_lines())
        if not keys or not _mend(root, keys):
            raise
        raise ParamsError(f"{error}\nparams.yaml is as it was before this experiment") from None


def _mend(root: Path, undo: list[str]) -> bool:
    """Give the lists of params.yaml the layout of the commit that the experiment starts from.

    Args:
        undo: keys, with dots, that get the values of that commit.

    Returns:
        Whether there is such a commit, with valid YAML.
    """
    path, commit = root / "params.yaml", os.environ.get("DVC_EXP_BASELINE_REV") or "HEAD"
    yaml = YAML()
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width, yaml.preserve_quotes = 4096, True
    try:
        before = yaml.load((Git(root).show(commit, "params.yaml") or "") + "\n")
        content = yaml.load(path)
    except YAMLError:
        return False
    if not isinstance(before, CommentedMap) or not isinstance(content, CommentedMap):
        return False
    for key in undo:
        _set_back(content, before, key.split("."))
    wanted = copy.deepcopy(content)
    _take_lists(content, before)
    written = io.StringIO()
    yaml.dump(content, written)
    if yaml.load(written.getvalue()) != wanted:
        return False
    write_text(path, written.getvalue())
    return True


def _is_written_by_dvc(path: Path) -> bool:
    """Whether DVC would write the file in this form, unlike lists written by a person."""
    yaml = YAML()
    yaml.default_flow_style = False
    written = io.StringIO()
    try:
        yaml.dump(yaml.load(path), written)
    except (YAMLError, OSError):
        return False
    return written.getvalue() == path.read_text(encoding="utf-8")


def _take_lists(content: CommentedMap, before: CommentedMap) -> None:
    """Replace each list, in place, by the original one with its comments."""
    for key, value in content.items():
        then = before.get(key)
        if isinstance(value, CommentedMap) and isinstance(then, CommentedMap):
            _take_lists(value, then)
        elif isinstance(value, list):
            content[key] = then if value == then else _on_one_line(value)
            if key in before.ca.items:
                content.ca.items[key] = before.ca.items[key]


def _on_one_line(value: list[Any]) -> list[Any]:
    if any(isinstance(entry, dict) for entry in value):
        return value
    line = CommentedSeq(value)
    line.fa.set_flow_style()
    return line


def _set_back(content: CommentedMap, before: CommentedMap, path: list[str]) -> None:
    """Restore the value of one key, in place, or remove the key if it had none."""
    *parents, last = path
    for key in parents:
        if not isinstance(content.get(key), CommentedMap):
            return
        content, before = content[key], before.get(key) or CommentedMap()
    if last in before:
        content[last] = before[last]
    else:
        content.pop(last, None)


def _command_lines() -> Iterator[list[str]]:
    """Yield the command lines of the processes that started this one."""
    import psutil

    try:
        for process in psutil.Process().parents():
            yield process.cmdline()
    except psutil.Error:
        return


def _overrides(lines: Iterator[list[str]]) -> list[str]:
    """Return the keys that a `dvc exp run` among command lines sets in params.yaml.

    >>> line = ["dvc", "exp", "run", "-S", "problems.a.x=1", "--set-param=+problems.a.y=2"]
    >>> _overrides(iter([["sh"], line]))
    ['problems.a.x', 'problems.a.y']
    """
    words = next((words for words in lines if {"exp", "experiments"} & {*words}), [])
    settings = []
    for word, following in pairwise([*words, ""]):
        if word in ("-S", "--set-param"):
            settings.append(following)
        elif word.startswith("--set-param="):
            settings.append(word.removeprefix("--set-param="))
        elif word.startswith("-S"):
            settings.append(word.removeprefix("-S"))
    keys = [text.partition("=")[0].removeprefix("params.yaml:") for text in settings]
    return [key.lstrip("+~") for key in keys]
