"""What an error or a sentence of `retain add` names as remedy is an option of it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main

from retain import cli, errors

SOURCE = Path(errors.__file__).parent
FORECAST = SOURCE / "kinds" / "forecast"
READERS = [*(FORECAST / "data").glob("*.py"), FORECAST / "split.py"]
INFER = [*(FORECAST / "infer").glob("*.py"), SOURCE / "cli" / "add.py"]


def options() -> set[str]:
    command = typer.main.get_command(cli.app).commands["add"]  # type: ignore[attr-defined]
    return {option for parameter in command.params for option in parameter.opts}


def keys(path: Path) -> Iterator[str]:
    """The keys that a module names by `setting` or as an answer."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        if node.func.id in ("setting", "option") and isinstance(node.args[0], ast.Constant):
            yield str(node.args[0].value)
        if node.func.id == "Choice" and isinstance(node.args[1], ast.Dict):
            yield from (
                str(key.value) for key in node.args[1].keys if isinstance(key, ast.Constant)
            )


def texts(path: Path) -> Iterator[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@pytest.mark.parametrize("path", [*READERS, *INFER], ids=lambda path: path.name)
def test_a_key_that_is_named_has_an_option(path: Path) -> None:
    missing = {key for key in keys(path) if errors.option(key) not in options()}
    assert not missing


@pytest.mark.parametrize("path", INFER, ids=lambda path: path.name)
def test_an_option_that_is_named_exists(path: Path) -> None:
    named = {word for text in texts(path) for word in re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)}
    assert named <= options() | {"--help"}


@pytest.mark.parametrize("path", READERS, ids=lambda path: path.name)
def test_a_reader_names_no_key_of_its_own_accord(path: Path) -> None:
    """It is a key in params.yaml and an option while `add` runs: `setting` knows which."""
    told = [text for text in texts(path) if re.search(r"\b[Ss]et `[a-z_]+[:`]", text)]
    assert not told
