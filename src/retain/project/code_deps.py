"""List the modules that a stage runs for a kind of problem, each with the md5 of its code.

So a change of one kind's code does not run other kinds' stages again, a change of a figure trains
no network, and a change of a comment runs nothing. Modules are found from import statements;
nothing is imported. A string that names a file in the module's folder counts as an import, such as
the template of a page.
"""

import ast
import json
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec, resolve_name
from pathlib import Path
from types import MappingProxyType
from typing import Any

from retain.config import plugins
from retain.config.kind import AnyKind, manifest_of
from retain.project.fingerprint import file_md5, text_md5


def code_list(
    root: Path, kind: AnyKind, stage: str, settings: Mapping[str, object] = MappingProxyType({})
) -> str:
    """Return the content of data/code/P/STAGE.txt for the problems of a kind.

    First the keys of params.yaml that the stage reads besides the sections in dvc.yaml, then the
    parts of the kind that it runs, then the md5 of each file. The path of a package's file starts
    at the folder that contains the package, so the list is the same in a checkout (src/retain) and
    with an installed wheel; a script has its path in the project. Modules of the folders `plugins`
    count as the kind's own.
    """
    lines = [f"{key}  {json.dumps(value)}" for key, value in settings.items()]
    lines += [f"{part}  {target}" for part, target in kind.targets(stage).items()]
    for label, path in sorted(_find_files(root, kind, stage).items()):
        lines.append(f"{_read(path)[0] if path.suffix == '.py' else file_md5(path)}  {label}")
    return "\n".join(lines) + "\n"


def training_md5(root: Path, kind: AnyKind, stage: str = "train") -> str:
    """Return the md5 of the code and the library versions of a training: `train`, `refit`."""
    versions = [f"{library} {version(library)}" for library in ("torch", "pytorch-lightning")]
    return text_md5("\n".join([code_list(root, kind, stage), *versions]))


def _find_files(root: Path, kind: AnyKind, stage: str) -> dict[str, Path]:
    """Return the files that a stage may run for a kind, by their label in the list."""
    source, script = root / "src", root / "pipelines" / f"{stage}.py"
    parts = {target.partition(":")[0] for target in kind.targets(stage).values()}
    packages = {"retain", *plugins.modules(), *(name.partition(".")[0] for name in parts)}
    # The stage's targets have what it uses of these; what a program imports concerns no stage.
    manifest = manifest_of(kind.name).partition(":")[0]
    left_out = {"retain", "retain.config.kind", manifest} - parts
    files: dict[str, Path] = {}
    names, seen = [*parts], set()
    if script.is_file():
        files[script.relative_to(root).as_posix()] = script
        names += _read(script)[1]
    while names:
        name = names.pop()
        if name in seen or name.partition(".")[0] not in packages:
            continue
        seen.add(name)
        names.append(name.rpartition(".")[0])
        path = _locate(source, name)
        if path is None or name in left_out:  # none: a name in a module
            continue
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        folder = "/".join([*package.split("."), ""]) if package else ""
        files[f"{folder}{path.name}"] = path
        _, imports, strings = _read(path)
        names += [resolve_name(imported, package) for imported in imports]
        for file in path.parent.iterdir():
            if file.name in strings and file.suffix == ".py" and file.stem != "__init__":
                names.append(f"{package}.{file.stem}")
            elif file.name in strings and file.is_file():
                files[f"{folder}{file.name}"] = file
    return files


def _locate(source: Path, name: str) -> Path | None:
    """Return the file of a module, in the checkout or installed; None if there is none."""
    top, *rest = name.split(".")
    folder = source / top
    if not folder.is_dir():
        spec = find_spec(top)
        if spec is None or spec.submodule_search_locations is None:  # no package
            alone = spec.origin if spec and spec.has_location and not rest else None
            return Path(alone) if alone else None
        folder = Path(next(iter(spec.submodule_search_locations)))
    base = folder.joinpath(*rest)
    paths = (base / "__init__.py", base.with_suffix(".py"))
    return next((path for path in paths if path.is_file()), None)


def _read(path: Path) -> tuple[str, frozenset[str], frozenset[str]]:
    return _parse(path.read_text(encoding="utf-8"))


@cache
def _parse(text: str) -> tuple[str, frozenset[str], frozenset[str]]:
    """Return the md5 of a module's code, the names that it imports, and its strings."""
    tree = _Runtime().visit(ast.parse(text))
    imports, strings = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            joint = "" if base.endswith(".") else "."
            imports |= {base, *(f"{base}{joint}{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            strings.add(node.value)
    return text_md5(json.dumps(_outline(tree))), frozenset(imports), frozenset(strings)


class _Runtime(ast.NodeTransformer):
    """Remove from a module what has no effect at run time: docstrings and code for type checks."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        return None if isinstance(node.value, ast.Constant) else node

    def visit_If(self, node: ast.If) -> ast.If | list[ast.stmt]:
        self.generic_visit(node)
        return node.orelse if ast.unparse(node.test).endswith("TYPE_CHECKING") else node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.ImportFrom | None:
        return None if node.module == "typing" else node  # annotations say what they use of it

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.JoinedStr:
        self.generic_visit(node)
        # Python 3.12.0 and 3.12.1 have empty ones behind a format.
        node.values = [part for part in node.values if getattr(part, "value", None) != ""]
        return node


def _outline(node: Any) -> Any:
    """Return a syntax tree as lists and strings, the same under all versions of Python.

    `ast.dump` shows the empty fields that a version has, and `ast.unparse` chooses quotes.
    """
    if isinstance(node, ast.AST):
        fields = [(key, value) for key, value in ast.iter_fields(node) if value not in (None, [])]
        return [type(node).__name__, *((key, _outline(value)) for key, value in fields)]
    if isinstance(node, list):
        return [_outline(item) for item in node]
    return ascii(node)
