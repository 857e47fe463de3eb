"""The JSON Schema of params.yaml, with which an editor completes and checks the file.

What a key means is said once, where it is declared: in the comment behind it, or under `Attributes`
in the docstring of its section. The schema, the comments that `retain add` writes and the reference
in docs/ take it from there.
"""

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from retain.config.kind import PLUGINS, find_kind, kind_names

# An entry of the part `Attributes` of a docstring, whose other lines are further indented.
ATTRIBUTE = re.compile(r"^    (\w+): (.+(?:\n {8}.*)*)", re.MULTILINE)


def params_schema() -> dict[str, Any]:
    """Return the schema of the whole file; each problem has the schema of its kind.

    The pipeline checks what a schema cannot express, such as the names of baselines. Of the current
    project's own kinds it has the names: their sections are not read, which would run their code.
    """
    kinds, definitions = kind_names(), {}
    described = [name for name in kinds if name not in PLUGINS]
    for name in described:
        kind = find_kind(name)
        assert kind is not None
        problem = kind.problem.load
        template = f"#/$defs/{name}_{{model}}"
        schema = problem.model_json_schema(ref_template=template)
        sections = {section.__name__: section for section in sections_of(problem)}
        for model, content in schema.pop("$defs", {}).items():
            definitions[f"{name}_{model}"] = _described(sections.get(model), content)
        definitions[name] = _described(problem, schema)
    entry = {
        "type": "object",
        "properties": {"kind": {"enum": kinds}},
        "required": ["kind"],
        "allOf": [
            {
                "if": {"properties": {"kind": {"const": name}}, "required": ["kind"]},
                "then": {"$ref": f"#/$defs/{name}"},
            }
            for name in described
        ],
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "params.yaml",
        "type": "object",
        "properties": {
            "plugins": {
                "description": "Folders of the project with modules that bring kinds of their own.",
                "oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
            },
            "problems": {
                "type": "object",
                "propertyNames": {"pattern": "^[a-z][a-z0-9_]*$"},
                "additionalProperties": entry,
            },
        },
        "required": ["problems"],
        "additionalProperties": False,
        "$defs": definitions,
    }


def comments(problem: type[BaseModel]) -> dict[str, str]:
    """Return the comments of an entry, by `section.key`, and by `key` at the top.

    They name the values of a key that has a few.
    """
    found, parts = {}, dict(_parts(problem))
    for section, model in {"": problem, **parts}.items():
        for key, text in descriptions(model).items():
            field = model.model_fields.get(key)
            values = [] if field is None else _choices(field.annotation)
            named = all(re.search(rf"\b{re.escape(value)}\b", text) for value in values[1:])
            if f"{key}." not in parts:
                found[f"{section}{key}"] = text if named else f"{text} ({', '.join(values)})"
    return found


def _parts(problem: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    """Yield the sections of a problem, by their key with a dot."""
    for name, field in problem.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield f"{name}.", field.annotation


def _choices(annotation: Any) -> list[str]:
    """Return the texts that a key may have besides null, if there are no others."""
    if get_origin(annotation) is Literal:
        return [value for value in get_args(annotation) if isinstance(value, str)]
    kinds = [kind for kind in get_args(annotation) if kind is not NoneType]
    optional = get_origin(annotation) in (Union, UnionType) and len(kinds) == 1
    return _choices(kinds[0]) if optional else []


def sections_of(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """Yield the sections in a section, at any depth."""
    waiting: list[Any] = [field.annotation for field in model.model_fields.values()]
    while waiting:
        annotation = waiting.pop()
        waiting += get_args(annotation)
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield annotation
            yield from sections_of(annotation)


@cache
def descriptions(section: type[BaseModel]) -> dict[str, str]:
    """Return what the keys of a section mean, as it or a class that it extends declares them."""
    found: dict[str, str] = {}
    for base in reversed(section.__mro__):
        if issubclass(base, BaseModel) and base is not BaseModel:
            found |= _comments_of(Path(str(sys.modules[base.__module__].__file__)), base.__name__)
            _, _, attributes = (base.__doc__ or "").partition("\n    Attributes:\n")
            for key, text in ATTRIBUTE.findall(re.sub(r"^    ", "", attributes, flags=re.M)):
                found[key] = " ".join(text.split()).removesuffix(".")
    names = {field.alias or name for name, field in section.model_fields.items()}
    return {key: text for key, text in found.items() if key in names}


@cache
def _parsed(path: Path) -> tuple[ast.Module, dict[int, str]]:
    """Return the syntax tree of a module, and the comments behind code, by line."""
    text = path.read_text(encoding="utf-8")
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    notes = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokens
        if token.type == tokenize.COMMENT and token.line[: token.start[1]].strip()
    }
    return ast.parse(text), notes


def _comments_of(path: Path, name: str) -> dict[str, str]:
    """Return the comments behind the keys that a class declares."""
    tree, notes = _parsed(path)
    named = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name]
    return {
        node.target.id: notes[node.end_lineno]
        for found in named
        for node in found.body
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and node.end_lineno in notes
    }


def _described(section: type[BaseModel] | None, schema: dict[str, Any]) -> dict[str, Any]:
    """Add to a section's schema what its keys mean."""
    texts = {} if section is None else descriptions(section)
    for key, content in schema.get("properties", {}).items():
        if key in texts and "description" not in content:
            content["description"] = texts[key]
    if "description" in schema:
        schema["description"] = schema["description"].partition("\n\nAttributes:")[0]
    return schema
