"""Read params.yaml into checked objects.

A typo is an error that names the full key path and the nearest valid key.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from retain.config import plugins, release
from retain.config.kind import PLUGINS, kind_names, manifest_of
from retain.errors import ParamsError
from retain.words import clipped, did_you_mean, listed

if TYPE_CHECKING:  # every command imports this module, and importing pydantic is slow
    from pydantic import BaseModel, ValidationError

    from retain.config.schema import Problem

NAME = re.compile(r"[a-z][a-z0-9_]*")


def find_root(any_release: bool = False, start: Path | None = None) -> Path:
    """Return the project's folder: the nearest folder with a dvc.yaml, from `start` upwards.

    Args:
        any_release: also accept a project of another release of retain.
        start: by default the working directory.

    Raises:
        ParamsError: there is no such folder, or the project is of another release.
    """
    here = Path.cwd() if start is None else start.resolve()
    for folder in (here, *here.parents):
        if (folder / "dvc.yaml").is_file():
            if not any_release:
                release.check(folder)
            return folder
    raise ParamsError(f"no dvc.yaml in {here} or above it: run this in the project's folder")


def read(root: Path) -> dict[str, Any]:
    """Read `root/params.yaml`, and make the project's own kinds known; check no problem.

    Returns:
        The content; `problems` is a mapping.

    Raises:
        ParamsError: the file is missing or not YAML, or has an unknown key; or as `plugins.use`.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    path = root / "params.yaml"
    try:
        content = YAML(typ="safe").load(path)
    except FileNotFoundError:
        raise ParamsError(f"{path} does not exist: run this in the project's folder") from None
    except RecursionError:
        raise ParamsError("params.yaml is not valid YAML: it is nested too deeply") from None
    except (YAMLError, ValueError) as error:  # the second of bytes or numbers
        raise ParamsError(f"params.yaml is not valid YAML: {clipped(error, 500)}") from None
    except OSError as error:
        raise ParamsError(f"params.yaml cannot be read: {error.strerror}") from None
    if isinstance(content, dict) and content.get("problems", ...) is None:
        content["problems"] = {}  # a project without a problem yet
    if not isinstance(content, dict) or not isinstance(content.get("problems"), dict):
        raise ParamsError("params.yaml: expected a mapping `problems:` of one entry per problem")
    keys = ["problems", plugins.KEY]
    for key in content:
        if key not in keys:
            raise ParamsError(f"params.yaml: unknown key `{key}`{did_you_mean(str(key), keys)}")
    plugins.use(root, content.get(plugins.KEY))
    return content


def load(root: Path) -> "dict[str, Problem]":
    """Read and check `root/params.yaml`.

    Returns:
        The problems by name, in the order of the file.

    Raises:
        ParamsError: as `read`, or a key of a problem is unknown, missing or wrong.
    """
    return {str(name): parse(str(name), entry) for name, entry in read(root)["problems"].items()}


def kinds(root: Path) -> dict[str, str]:
    """Return the kind of each problem of `root/params.yaml`, by the problem's name.

    Problems of the project's own kinds are not checked, which would run code of the project.

    Raises:
        ParamsError: as `load`.
    """
    entries = read(root)["problems"]
    for name, entry in entries.items():
        if not isinstance(entry, dict) or entry.get("kind") not in PLUGINS:
            parse(str(name), entry)
    return {str(name): entry["kind"] for name, entry in entries.items()}


def load_problem(root: Path, name: str) -> "Problem":
    """Return the problem `name` of `root/params.yaml`; raises ParamsError if there is none.

    Every stage reads its problem with this function. It also raises ParamsError if the project is
    of another release of retain, since the outputs would be recorded under the wrong release.
    """
    return some(root, [name])[name]


def some(root: Path, names: list[str]) -> "dict[str, Problem]":
    """Return the problems of these names, or all; raises ParamsError as `load_problem`."""
    release.check(root)
    problems = load(root)
    for name in names:
        if name not in problems:
            near = did_you_mean(name, list(problems))
            raise ParamsError(f"params.yaml: no problem `{name}`{near}")
    return {name: problems[name] for name in names or problems}


def parse(name: str, entry: Any) -> "Problem":
    """Check one entry of `problems` against the schema of its kind; raises ParamsError."""
    from pydantic import ValidationError

    where = f"problems.{name}"
    if not NAME.fullmatch(name):
        raise ParamsError(
            f"params.yaml: `{clipped(where)}`: a problem's name has only lower-case letters, "
            "digits and _"
        )
    if not isinstance(entry, dict):
        raise ParamsError(f"params.yaml: `{where}` must be a mapping with the key `kind`")
    kind = entry.get("kind")
    if not isinstance(kind, str) or not manifest_of(kind):
        raise ParamsError(
            f"params.yaml: `{where}.kind` is {_shown(kind)}; expected one of "
            f"{', '.join(kind_names())}"
        )
    schema = plugins.problem_class(kind)
    try:
        return schema.model_validate(entry)
    except ValidationError as error:
        raise ParamsError(describe_errors("params.yaml", error, schema, where)) from None


def describe_errors(
    source: str, error: "ValidationError", schema: "type[BaseModel]", where: str = ""
) -> str:
    """Describe the errors at the key path `where`: one in a sentence, several in lines."""
    problems = error.errors(include_url=False)
    if len(problems) == 1:
        return f"{source}: {_describe(problems[0], schema, where)}"
    sentences = [_describe(problem, schema, where) for problem in problems[:10]]  # they take time
    return f"{source} has {len(problems):,} errors:\n{listed(sentences, count=len(problems))}"


def _shown(value: Any) -> str:
    """Return a value as text; of a mapping or list, which may be huge by aliases, its type."""
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    return clipped(repr(value))


def _describe(problem: Any, schema: "type[BaseModel]", where: str) -> str:
    """Describe one error in a sentence with the full key path."""
    checks = Literal["finite", "beats", "beats_or_ties", "coverage", "at_least", "champion"]
    tags = {"float", "str", *get_args(checks)}
    location = [part for part in problem["loc"] if part not in tags and "[" not in str(part)]
    path = clipped(".".join(filter(None, [where, *map(str, location)])))
    if problem["type"] == "extra_forbidden":
        keys = _valid_keys(schema, location[:-1])
        return f"unknown key `{path}`{did_you_mean(str(location[-1]), keys)}"
    if problem["type"] == "missing":
        return f"`{path}` is missing"
    message = problem["msg"].removeprefix("Value error, ")
    given = problem["input"]
    if location and not isinstance(given, dict | list | tuple):
        return f"`{path}` is {clipped(repr(given))}: {message[0].lower()}{message[1:]}"
    return f"`{path}`: {message[0].lower()}{message[1:]}"


def _valid_keys(schema: "type[BaseModel]", location: list[Any]) -> list[str]:
    for part in location:
        field = schema.model_fields.get(str(part))
        if field is None or not isinstance(field.annotation, type):
            return []
        schema = field.annotation
    return [field.alias or name for name, field in schema.model_fields.items()]
