"""Set values in params.yaml; comments, layout and every other byte stay."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from retain.config.loader import load, parse
from retain.config.search import override
from retain.errors import ParamsError
from retain.project.files import read_to_edit
from retain.project.params_file import last_of_block, reads_as


def with_values(root: Path, name: str, settings: Mapping[str, Any]) -> str:
    """Return the text of params.yaml with other values of some keys of a problem.

    Args:
        settings: by `section.key`.

    Raises:
        ParamsError: a value is refused, or the layout of the file allows no change of a line.
    """
    text = read_to_edit(root / "params.yaml")
    entry = YAML(typ="safe").load(text)["problems"][name]
    wanted = {**load(root), name: parse(name, override(entry, settings))}
    for key, value in settings.items():
        section, _, last = key.partition(".")
        text = _set(text, name, section, last, value)
    if not reads_as(text, wanted):
        written = ", ".join(f"{key}: {_yaml(value)}" for key, value in settings.items())
        raise ParamsError(
            f"params.yaml: the layout of problems.{name} allows no change of single lines: write "
            f"yourself {written}"
        )
    return text


def _set(text: str, name: str, section: str, key: str, value: Any) -> str:
    """Set one key; where a layout is not known, the text stays as it is."""
    content = YAML().load(text)
    lines = text.splitlines(keepends=True)
    problem = content["problems"][name]
    if not isinstance(problem, CommentedMap) or problem.fa.flow_style():
        return text
    block = problem.get(section)
    if block is None and section in problem:
        return _replace(lines, problem, section, _yaml({key: value}))
    if block is None:
        depth = problem.lc.key(next(iter(problem)))[1]
        end = _end(lines, content["problems"], name)
        new = [f"{' ' * depth}{section}:\n", f"{' ' * (depth + 2)}{key}: {_yaml(value)}\n"]
        return "".join([*lines[:end], *new, *lines[end:]])
    if block.fa.flow_style() or not block:
        return _replace(lines, problem, section, _yaml({**block, key: value}))
    if key in block:
        return _replace(lines, block, key, _yaml(value))
    depth, end = block.lc.key(next(iter(block)))[1], _end(lines, problem, section)
    return "".join([*lines[:end], f"{' ' * depth}{key}: {_yaml(value)}\n", *lines[end:]])


def _end(lines: list[str], block: CommentedMap, key: str) -> int:
    """Return the line after the last one of the block of a key; comments below it are not in it."""
    begin = block.lc.key(key)[0]
    end = last_of_block(lines, begin)
    while end - 1 > begin and lines[end - 1].lstrip().startswith("#"):
        end -= 1
    return end


def _replace(lines: list[str], block: CommentedMap, key: str, value: str) -> str:
    """Replace the value of a key, with its lines below; the comment stays in its column."""
    begin, depth = block.lc.key(key)
    line = lines[begin].rstrip("\n")
    start = line.index(":", depth) + 1
    old, comment = _split(line[start:])
    new = f"{line[:start]} {value}"
    if comment:
        column = start + len(old)
        new += " " * max(1, column - len(new)) + comment
    return "".join([*lines[:begin], f"{new}\n", *lines[_end(lines, block, key) :]])


def _split(text: str) -> tuple[str, str]:
    """Split a value from the comment behind it; the value keeps its trailing blanks.

    >>> _split(' "a # b"   # c'), _split(" 0.003"), _split(" # empty")
    ((' "a # b"   ', '# c'), (' 0.003', ''), (' ', '# empty'))
    """
    quote = ""
    for place, sign in enumerate(text):
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "\"'":
            quote = sign
        elif sign == "#" and (place == 0 or text[place - 1].isspace()):
            return text[:place], text[place:]
    return text, ""


def _yaml(value: Any) -> str:
    """Write a value on one line of YAML.

    >>> _yaml({"lstm": 0.00001, "rnn": None}), _yaml([1, True]), _yaml("last")
    ('{lstm: 0.00001, rnn: null}', '[1, true]', 'last')
    """
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_yaml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_yaml, value)) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):  # never with an exponent, which some parsers take as text
        digits = f"{value:.12f}".rstrip("0")
        return f"{digits}0" if digits.endswith(".") else digits
    return str(value)
