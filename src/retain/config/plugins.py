"""A project's own kinds: modules in the folders that `plugins` in params.yaml names.

A module or package there brings a kind by `KIND = Kind(name="...", ...)`. The name is read from its
text: a module runs only when a problem of its kind is used. A module whose name begins with `_`
brings none; others import it.
"""

import ast
import importlib
import re
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retain.config import kind as manifest
from retain.errors import ParamsError

if TYPE_CHECKING:
    from retain.config.schema import Problem

KEY = "plugins"
PLAIN = re.compile(r"[\w./ -]+")  # a folder that dvc.yaml can name without quotes
# Of the current project: the folders, and the file of each module in them by its name.
_folders: list[str] = []
_modules: dict[str, Path] = {}


def use(root: Path, value: Any) -> None:
    """Make the kinds of a project known, in place of those of the project before.

    Args:
        value: of the key `plugins`: None, a folder or a list of folders, relative to `root`.

    Raises:
        ParamsError: there is no such folder, it leads out of the project, or a module of it brings
            no kind, or one whose name is taken.
    """
    _folders.clear()
    _modules.clear()
    manifest.PLUGINS.clear()
    found: dict[str, str] = {}
    for folder in _find_folders(root, value):
        _folders.append(folder)
        brought = 0
        for name, path in _files(root, folder):
            where = f"{KEY}: {path.relative_to(root.resolve()).as_posix()}"
            _check_importable(name, path, where)
            _modules[name] = path
            if name.startswith("_"):
                continue
            kind, brought = _kind_name(path, where), brought + 1
            if kind in found or kind in manifest.kind_names():
                raise ParamsError(f"{where}: there is a kind `{kind}` already; choose another name")
            found[kind] = f"{name}:KIND"
        if not brought:
            raise ParamsError(
                f"params.yaml: `{KEY}`: {folder}/ has no module or package; write one with `KIND`"
            )
    manifest.PLUGINS.update(found)


def modules() -> frozenset[str]:
    """Return the names of all modules in the folders, with those that bring no kind."""
    return frozenset(_modules)


def sources() -> list[Path]:
    """Return the module files and the package folders in the folders of the current project."""
    return [path.parent if path.stem == "__init__" else path for path in _modules.values()]


def folders() -> tuple[str, ...]:
    """Return the folders of the current project, relative to it."""
    return tuple(_folders)


def problem_class(name: str) -> "type[Problem]":
    """Return the schema of the problems of a kind, which must exist.

    Raises:
        ParamsError: the kind is of the project, and its code cannot be imported.
    """
    try:
        kind = manifest.find_kind(name)
        assert kind is not None
        return kind.problem.load
    except Exception as error:
        if name not in manifest.PLUGINS:
            raise
        path = _modules[manifest.PLUGINS[name].partition(":")[0]]
        raise ParamsError(
            f"{KEY}: the kind `{name}` ({path}) cannot be imported: {type(error).__name__}: {error}"
        ) from error


def _find_folders(root: Path, value: Any) -> list[str]:
    """Return the folders that the key `plugins` names, relative to the project, each once.

    Raises:
        ParamsError: it is no folder, or not in the project.
    """
    given = [] if value is None else value if isinstance(value, list) else [value]
    found = []
    for folder in given:
        where = f"params.yaml: `{KEY}` is {folder!r}"
        if not isinstance(folder, str) or not PLAIN.fullmatch(folder):
            raise ParamsError(f"{where}; name a folder of the project, or a list of folders")
        path, top = (root / folder).resolve(), root.resolve()
        if path == top or not path.is_relative_to(top):
            raise ParamsError(f"{where}, which is not inside the project; name a folder in it")
        if not path.is_dir():
            raise ParamsError(f"{where}; there is no such folder")
        found.append(path.relative_to(top).as_posix())
    return list(dict.fromkeys(found))


def _files(root: Path, folder: str) -> list[tuple[str, Path]]:
    """Return the modules and packages of a folder: name, and the file that is imported first."""
    place = root.resolve() / folder
    if str(place) not in sys.path:
        sys.path.append(str(place))  # last: a module there replaces no other
    importlib.invalidate_caches()
    found = []
    for path in sorted(place.iterdir()):
        file = path / "__init__.py" if path.is_dir() else path
        if file.suffix == ".py" and file.is_file() and path.stem != "__init__":
            found.append((path.stem, file))
    return found


def _check_importable(name: str, path: Path, where: str) -> None:
    """Raise ParamsError unless `import NAME` imports this file."""
    if not name.isidentifier():
        raise ParamsError(f"{where}: `{name}` cannot be imported; use only letters, digits and _")
    loaded = sys.modules.get(name)
    spec = loaded.__spec__ if loaded else find_spec(name)
    if spec is None or spec.origin is None or Path(spec.origin).resolve() != path.resolve():
        raise ParamsError(
            f"{where}: Python has another module `{name}` ({spec and spec.origin}); rename this one"
        )


def _kind_name(path: Path, where: str) -> str:
    """Return the name in `KIND = Kind(name="...")` of a module, without running it."""
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError) as error:
        raise ParamsError(f"{where}: no valid Python: {error}") from None
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        call = getattr(node, "value", None)
        if not isinstance(call, ast.Call) or "KIND" not in (getattr(t, "id", "") for t in targets):
            continue
        for key in call.keywords:
            if key.arg == "name" and isinstance(key.value, ast.Constant):
                return str(key.value.value)
    raise ParamsError(
        f'{where}: it brings no kind; write `KIND = Kind(name="...", ...)` in it, or begin its '
        f"name with _ if others import it"
    )
