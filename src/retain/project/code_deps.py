"""Find the files that a stage runs for a kind of problem, from their import statements.

So a change of one kind's code runs no other kind's stages again, and a change of a figure trains no
network. Nothing is imported here. A string that names a file beside a module counts as an import,
as that of a page's template does.
"""

import ast
from collections.abc import Mapping
from pathlib import Path


def reached(source: Path, script: Path, targets: Mapping[str, str]) -> list[Path]:
    """The files of this project that running `script` may import, itself among them, sorted.

    Args:
        source: the folder that holds the packages.
        script: a stage's script.
        targets: what of the problem's kind the stage runs, each as `package.module:attribute`.
    """
    modules = [target.partition(":")[0] for target in targets.values()]
    # The manifest of a kind names all its parts; a stage runs some of them.
    manifests = set(source.glob("retain/kinds/*/__init__.py"))
    todo, seen = [script, *(file for name in modules for file in _files(source, name))], set()
    while todo:
        current = todo.pop()
        if current in seen or current in manifests:
            continue
        seen.add(current)
        todo += [file for name in imported(current) for file in _files(source, name)]
        todo += _beside(current)
    return sorted(seen)


def imported(path: Path) -> set[str]:
    """The names that a Python file imports, wherever in it; not those for type checkers alone."""
    if path.suffix != ".py":
        return set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    names: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _files(source: Path, name: str) -> list[Path]:
    """The files of a dotted name: of the module and of the packages that it is in."""
    parts = name.split(".")
    bases = [source.joinpath(*parts[:count]) for count in range(1, len(parts) + 1)]
    both = (file for base in bases for file in (base.with_suffix(".py"), base / "__init__.py"))
    return [file for file in both if file.is_file()]


def _beside(path: Path) -> list[Path]:
    """Files beside a module that a string in it names."""
    if path.suffix != ".py":
        return []
    strings = {
        node.value
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return [file for file in path.parent.iterdir() if file.is_file() and file.name in strings]
