"""Write a new problem into params.yaml; every byte that was there stays."""

import io
import re
import textwrap
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError

from retain.config.loader import load, parse
from retain.errors import ParamsError
from retain.project.files import write_text


def append(root: Path, name: str, entry: dict[str, Any], comments: dict[str, str]) -> None:
    """Write a new problem behind the others in params.yaml, in one go; the rest keeps its bytes.

    Args:
        root: the project's folder.
        name: of the problem.
        entry: the problem as it will be read.
        comments: what is written behind a key, wherever it stands in the entry.

    Raises:
        ParamsError: the entry is wrong, or the file is not laid out so that a block can follow.
    """
    path = root / "params.yaml"
    block = io.StringIO()
    yaml = YAML()
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width = 4096
    yaml.dump({name: _commented(entry, comments)}, block)
    # Text behind text, unlike a round trip, cannot move a comment or a quote of what was there.
    before = path.read_text(encoding="utf-8").rstrip("\n")
    before = re.sub(r"^problems: *\{ *\}", "problems:", before, flags=re.MULTILINE)
    after = f"{before}\n\n{textwrap.indent(block.getvalue(), '  ')}"
    wanted = {**load(root), name: parse(name, entry)}
    try:
        problems = YAML(typ="safe").load(after)["problems"]
        if {key: parse(key, value) for key, value in problems.items()} != wanted:
            raise ValueError
    except (YAMLError, ParamsError, ValueError):
        raise ParamsError(
            "params.yaml: no entry can be added: write `problems:` as a block, last in the file, "
            "its names indented by two spaces"
        ) from None
    _add_artifact(root / "dvc.yaml", name)
    write_text(path, after)


def _add_artifact(path: Path, name: str) -> None:
    """Declare the problem's model in the last section of dvc.yaml, `artifacts`."""
    before = path.read_text(encoding="utf-8").rstrip("\n")
    content = YAML(typ="safe").load(before)
    artifact = {"path": f"models/{name}/lstm", "type": "model"}
    artifacts = {**content.get("artifacts", {}), name: artifact}
    if name in content.get("artifacts", {}):
        return
    if "artifacts" not in content:
        before += "\n\nartifacts:"
    after = f"{before}\n  {name}:\n    path: {artifact['path']}\n    type: {artifact['type']}\n"
    if YAML(typ="safe").load(after) != {**content, "artifacts": artifacts}:
        raise ParamsError("dvc.yaml: no artifact can be added: write `artifacts:` last in the file")
    write_text(path, after)


def _commented(entry: dict[str, Any], comments: dict[str, str], depth: int = 0) -> CommentedMap:
    """An entry as ruamel writes it: a block a section, one line a value, comments in a column."""
    block = CommentedMap()
    for key, value in entry.items():
        if isinstance(value, dict) and depth == 0:
            block[key] = _commented(value, comments, depth + 1)
        elif isinstance(value, list | tuple) and value and isinstance(value[0], dict):
            block[key] = CommentedSeq(map(_on_one_line, value))
        else:
            block[key] = _on_one_line(value)
        if key in comments:
            block.yaml_add_eol_comment(comments[key], key, column=38)
    return block


def _on_one_line(value: Any) -> Any:
    if not isinstance(value, dict | list | tuple):
        return value
    line = CommentedMap(value) if isinstance(value, dict) else CommentedSeq(value)
    line.fa.set_flow_style()
    return line
