"""Which files a stage runs for a kind of problem, read from their import statements.

So a change of one kind's code runs no other kind's stages again, and a change of a figure trains no
network. Nothing is imported here. A string that names a file beside a module counts as an import,
as that of a page's template does, and so does `room(…, "NAME")` of the kind's own module NAME.
"""

import ast
from pathlib import Path


def reached(source: Path, script: Path, package: str, packages: set[str]) -> list[Path]:
    """The files of this project that running `script` may import, itself among them, sorted.

    Args:
        source: the folder that holds the packages.
        script: a stage's script.
        package: that of the problem's kind.
        packages: those of all kinds; what is in the others, and the table of them, is left out.
    """
    others = ("retain.config.kind.", *(f"{other}." for other in packages - {package}))
    todo, seen = [script], set()
    while todo:
        current = todo.pop()
        if current in seen:
            continue
        seen.add(current)
        names = {name for name in imported(current, package) if not f"{name}.".startswith(others)}
        with_parents = {".".join(name.split(".")[:n]) for name in names for n in range(1, 9)}
        todo += [file for name in with_parents if (file := _file(source, name)) is not None]
        todo += _beside(current)
    return sorted(seen)


def imported(path: Path, package: str = "") -> set[str]:
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
    found: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call) and package:
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            named = getattr(node.args[-1], "value", None) if node.args else None
            if called in ("room", "room_of") and isinstance(named, str):
                found.add(f"{package}.{named}")
    return found


def _file(source: Path, name: str) -> Path | None:
    base = source.joinpath(*name.split("."))
    files = (base.with_suffix(".py"), base / "__init__.py")
    return next((file for file in files if file.is_file()), None)


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
