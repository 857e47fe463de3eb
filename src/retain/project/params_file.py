"""Add a problem to params.yaml, or remove one; every other byte stays."""

import io
import re
import textwrap
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError
from ruamel.yaml.representer import RoundTripRepresenter

from retain.config.loader import load, parse
from retain.errors import ParamsError
from retain.project.files import read_to_edit, write_edited
from retain.words import clipped


def write(root: Path, name: str, entry: dict[str, Any], comments: dict[str, str]) -> None:
    """Append a problem to params.yaml, and remove an old one with its name.

    Args:
        root: the project's folder.
        name: of the problem.
        entry: the problem's sections and keys.
        comments: comments by key, or by `section.key`.

    Raises:
        ParamsError: the entry is wrong, or the layout of the file allows no further block.
    """
    path = root / "params.yaml"
    before, wanted = read_to_edit(path), {**load(root), name: parse(name, entry)}
    # Appended text, unlike a YAML round trip, changes no comment or quote of the old text.
    kept = _without(before, "problems", name).rstrip("\n")
    kept = re.sub(r"^problems:[ ]*\{ *\}", "problems:", kept, flags=re.MULTILINE)
    after = f"{kept}\n\n{textwrap.indent(_block(name, entry, comments), '  ')}"
    if not reads_as(after, wanted):
        raise ParamsError(
            "params.yaml: no entry can be added: write `problems:` as a block, last in the file, "
            "its names indented by two spaces"
        )
    _add_artifact(root / "dvc.yaml", name)
    write_edited(path, after)


def set_parent(root: Path, name: str, md5s: dict[str, str]) -> None:
    """Write `training.parent` of a problem, below `warm_start`; all other bytes stay.

    Args:
        md5s: of a model folder for each cell.

    Raises:
        ParamsError: `training` is not written as a block with a line for each key.
    """
    path, before = root / "params.yaml", load(root)[name]
    text = read_to_edit(path)
    training = YAML().load(text)["problems"][name].get("training")
    lines, after = text.splitlines(keepends=True), text
    if isinstance(training, CommentedMap) and not training.fa.flow_style():
        flow = "{" + ", ".join(f"{cell}: {md5}" for cell, md5 in md5s.items()) + "}"
        number, depth = training.lc.key("warm_start")
        if "parent" in training:
            number = training.lc.key("parent")[0]
            del lines[number]
        else:
            number += 1
        after = "".join([*lines[:number], f"{' ' * depth}parent: {flow}\n", *lines[number:]])
    update = {"training": before.training.model_copy(update={"parent": md5s})}
    if not reads_as(after, {**load(root), name: before.model_copy(update=update)}):
        raise ParamsError(
            f"params.yaml: problems.{name}.training.parent cannot be written: write `training:` as "
            f"a block, `warm_start` and `parent` on a line each"
        )
    write_edited(path, after)


def remove(root: Path, name: str) -> None:
    """Remove a problem from params.yaml and from the artifacts of dvc.yaml; all other bytes stay.

    Raises:
        ParamsError: the problem is not a separate block in the file.
    """
    path, artifacts = root / "params.yaml", root / "dvc.yaml"
    wanted = {key: value for key, value in load(root).items() if key != name}
    after = _without(read_to_edit(path), "problems", name)
    if not wanted:  # DVC reads no stage if `problems:` is empty
        after = re.sub(r"^problems:(?! *\{)", "problems: {}", after, flags=re.MULTILINE)
    if not reads_as(after, wanted):
        raise ParamsError(
            f"params.yaml: problems.{name} is not a separate block: remove it yourself"
        )
    text = read_to_edit(artifacts)
    if name in (read_yaml(artifacts).get("artifacts") or {}):
        text = _without(text, "artifacts", name)
        text = re.sub(r"\n*^artifacts:\s*\Z", "\n", text, flags=re.MULTILINE)
        write_edited(artifacts, text)
    write_edited(path, after)


def reads_as(text: str, wanted: dict[str, Any]) -> bool:
    """Whether a text of params.yaml has exactly these problems."""
    try:
        problems = YAML(typ="safe").load(text)["problems"]
        return {key: parse(key, value) for key, value in problems.items()} == wanted
    except (YAMLError, ParamsError, AttributeError):
        return False


def _without(text: str, section: str, name: str) -> str:
    """Return a YAML text without one entry of a section, and without the comment above it."""
    content = YAML().load(text)
    block = content.get(section) if isinstance(content, dict) else None
    if not isinstance(block, CommentedMap) or name not in block:
        return text
    lines = text.splitlines(keepends=True)

    def top(line: int) -> int:
        """Return the first line of the comment above a line."""
        while line > 0 and lines[line - 1].lstrip().startswith("#"):
            line -= 1
        return line

    begin = block.lc.key(name)[0]
    later = [block.lc.key(key)[0] for key in block] + [content.lc.key(key)[0] for key in content]
    behind = [line for line in later if line > begin]
    end = top(min(behind)) if behind else last_of_block(lines, begin)
    begin = top(begin)
    return "".join(lines[:begin]).rstrip("\n") + "\n" * (1 + bool(behind)) + "".join(lines[end:])


def last_of_block(lines: list[str], begin: int) -> int:
    """Return the line after the last one that is indented further than the line `begin`."""

    def depth(line: str) -> int:
        return len(line) - len(line.lstrip())

    end = begin + 1
    for number in range(begin + 1, len(lines)):
        if lines[number].strip() and depth(lines[number]) > depth(lines[begin]):
            end = number + 1
        elif lines[number].strip():
            break
    return end


def read_yaml(path: Path) -> dict[str, Any]:
    """Return a mapping in a YAML file of DVC.

    Raises:
        ParamsError: it is empty or damaged.
    """
    try:
        content = YAML(typ="safe").load(path)
    except (YAMLError, ValueError) as error:
        content, reason = None, clipped(error, 300)
    else:
        reason = "it is empty, or no mapping"
    if not isinstance(content, dict):
        raise ParamsError(
            f"{path.name} cannot be read ({reason}); take it back: `git checkout {path.name}`"
        )
    return content


def _add_artifact(path: Path, name: str) -> None:
    """Declare the problem's model in the last section of dvc.yaml, `artifacts`."""
    before = read_to_edit(path).rstrip("\n")
    content = read_yaml(path)
    artifact = {"path": f"models/{name}/lstm", "type": "model"}
    artifacts = {**(content.get("artifacts") or {}), name: artifact}
    if name in (content.get("artifacts") or {}):
        return
    if "artifacts" not in content:
        before += "\n\nartifacts:"
    after = f"{before}\n  {name}:\n    path: {artifact['path']}\n    type: {artifact['type']}\n"
    if YAML(typ="safe").load(after) != {**content, "artifacts": artifacts}:
        raise ParamsError("dvc.yaml: no artifact can be added: write `artifacts:` last in the file")
    write_edited(path, after)


class _Representer(RoundTripRepresenter):
    """Write `null` for a key without a value."""


_Representer.add_representer(
    type(None), lambda writer, _: writer.represent_scalar("tag:yaml.org,2002:null", "null")
)


def _block(name: str, entry: dict[str, Any], comments: dict[str, str]) -> str:
    """Return an entry as YAML, not indented."""
    block, yaml = io.StringIO(), YAML()
    yaml.Representer = _Representer
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width = 4096
    yaml.dump({name: _commented(entry, comments)}, block)
    return block.getvalue()


def _commented(entry: dict[str, Any], comments: dict[str, str], section: str = "") -> CommentedMap:
    """Return an entry for ruamel: a block per section, a line per value, aligned comments."""
    block = CommentedMap()
    for key, value in entry.items():
        if isinstance(value, dict) and not section:
            block[key] = _commented(value, comments, key)
        elif isinstance(value, list | tuple) and value and isinstance(value[0], dict):
            block[key] = CommentedSeq(map(_on_one_line, value))
        else:
            block[key] = _on_one_line(value)
        comment = comments.get(f"{section}.{key}", comments.get(key))
        if comment is not None:
            block.yaml_add_eol_comment(comment, key, column=38)
    return block


def _on_one_line(value: Any) -> Any:
    if not isinstance(value, dict | list | tuple):
        return value
    line = CommentedMap(value) if isinstance(value, dict) else CommentedSeq(value)
    line.fa.set_flow_style()
    return line
