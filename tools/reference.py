"""Write docs/reference/: params.yaml, the commands and the Python API, as the code has them.

python tools/reference.py

A new kind, command or function is in these pages as soon as it is in the code.
"""

import inspect
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_type_hints

FOLDER = Path(__file__).parents[1] / "docs" / "reference"
MADE = "<!-- Made by `python tools/reference.py` from the code: change it there. -->"
JSON_TYPES = {
    "string": "text",
    "integer": "integer",
    "number": "number",
    "boolean": "true or false",
    "null": "null",
}
SECTION = re.compile(r"^(Args|Attributes|Returns|Raises|Yields):$", re.MULTILINE)
Schema = dict[str, Any]


def pages() -> dict[str, str]:
    """Return the pages, by the name of their file."""
    return {"params.md": params(), "cli.md": cli(), "python.md": python()}


def params() -> str:
    """Return the reference of params.yaml, from its JSON Schema."""
    from retain.config import schema
    from retain.config.json_schema import params_schema
    from retain.config.kind import find_kind, kind_names

    definitions = params_schema()["$defs"]
    names = kind_names()
    common = {key: definitions[f"{names[0]}_{key}"] for key in ("Retrain", "Prove")}
    training = _common_training(schema, definitions, names)
    parts = [
        "# params.yaml",
        MADE,
        "The file has the key `problems`: a mapping from the name of a problem (small letters, "
        "digits and `_`) to its entry, and may have the key `plugins`: a folder, or several, with "
        "[kinds of the project's own](../project.md). `retain schema` prints the JSON Schema from "
        "which this page is made, and by which editors complete and check the file. A key that is "
        "not here is an error.",
        "## Every problem",
        _rows(_every_problem(schema, definitions[names[0]], names)),
        "Besides, each kind has the sections `data`, `model` and `evaluation`: "
        + ", ".join(f"[{name}](#kind-{name})" for name in names)
        + ".",
        "## training",
        _prose(schema.Training),
        _rows({"properties": training}),
        "## gate",
        "A list of checks; a model becomes `@champion` if it passes all of them.",
        _checks(definitions, names[0]),
        "## retrain",
        _prose(schema.Retrain),
        _rows(common["Retrain"]),
        "## prove",
        _prose(schema.Prove),
        _rows(common["Prove"]),
    ]
    for name in names:
        kind = find_kind(name)
        assert kind is not None
        parts += _kind(name, kind.problem.load, definitions, training)
    return _page(parts)


def _every_problem(schema: Any, definition: Schema, names: list[str]) -> Schema:
    """Return the keys that the entries of all kinds have."""
    shared = {field.alias or key for key, field in schema.Problem.model_fields.items()}
    properties = {key: value for key, value in definition["properties"].items() if key in shared}
    kind = {"enum": names, "description": "what is learned"}
    return {**definition, "properties": properties | {"kind": kind}}


def _common_training(schema: Any, definitions: Schema, names: list[str]) -> Schema:
    """Return the keys of `training` that every kind has."""
    shared = {field.alias or key for key, field in schema.Training.model_fields.items()}
    found: Schema = definitions[f"{names[0]}_Training"]["properties"]
    return {key: content for key, content in found.items() if key in shared}


def _kind(name: str, problem: Any, definitions: Schema, training: Schema) -> Iterator[str]:
    """Yield the parts of the page about one kind."""
    properties = definitions[name]["properties"]
    yield f"## Kind {name}"
    yield f"`kind: {name}`: {properties['kind']['description']}. {_prose(problem)}"
    for key in ("data", "model", "training", "evaluation"):
        section = problem.model_fields[key].annotation
        content = definitions[properties[key]["$ref"].rpartition("/")[2]]
        if key == "training":
            own = {k: v for k, v in content["properties"].items() if training.get(k) != v}
            content = {**content, "properties": own}
            if not own:
                continue
        yield f"### {name}: {key}"
        yield _prose(section)
        if key == "training":
            yield "Besides the keys that [every problem](#training) has, or other than there:"
        yield _rows(content)
        for inner in _inner(content):
            yield f"`{inner[0]}`:"
            yield _rows(definitions[inner[1]])
    yield f"### {name}: names in the gate"
    yield f"`metric`: {_names(problem.ERRORS)}. `baseline`: {_names(problem.BASELINES)}."
    yield from _presets(name, problem)


def _inner(section: Schema) -> Iterator[tuple[str, str]]:
    """Yield the keys of a section that are sections themselves, with their definition."""
    for key, content in section["properties"].items():
        if "$ref" in content:
            yield key, content["$ref"].rpartition("/")[2]


def _presets(name: str, problem: Any) -> Iterator[str]:
    """Yield a table of the values that the presets give to omitted keys."""
    presets = {preset: problem.preset_sections(preset, {}) for preset in ("fast", "accurate")}
    keys = dict.fromkeys(
        (section, key)
        for sections in presets.values()
        for section, values in sections.items()
        for key in values
    )
    if keys:
        yield f"### {name}: presets"
        rows = [
            [f"`{section}.{key}`"]
            + [
                _value(sections[section][key]) if key in sections.get(section, {}) else ""
                for sections in presets.values()
            ]
            for section, key in keys
        ]
        yield _table(["key", *(f"`preset: {preset}`" for preset in presets)], rows)


def _checks(definitions: Schema, kind: str) -> str:
    mapping = definitions[kind]["properties"]["gate"]["items"]["discriminator"]["mapping"]
    rows = []
    for check, reference in mapping.items():
        content = definitions[reference.rpartition("/")[2]]
        keys = [
            f"`{key}`, {_type(field)}{_default(content, key, ', by default ')}: "
            f"{field['description']}"
            for key, field in content["properties"].items()
            if key != "check"
        ]
        rows.append([f"`{check}`", _line(content["description"]), "<br>".join(keys)])
    return _table(["check", "passes if", "keys"], rows)


def _rows(section: Schema) -> str:
    """Return the table of a section's keys."""
    rows = [
        [f"`{key}`", _type(field), _default(section, key), field.get("description", "")]
        for key, field in section["properties"].items()
    ]
    return _table(["key", "type", "default", "meaning"], rows)


def _default(section: Schema, key: str, before: str = "") -> str:
    field = section["properties"][key]
    if key in section.get("required", ()):
        return "" if before else "required"
    if "$ref" in field or "default" not in field:
        return ""
    return before + _value(field["default"]) if not before or field["default"] != "" else ""


def _value(value: Any) -> str:
    return f"`{json.dumps(value, ensure_ascii=False)}`"


def _type(field: Schema) -> str:
    """Return a type of JSON Schema in words, with its range."""
    if "$ref" in field:
        return "section"
    if "const" in field or "enum" in field:
        return _names(field.get("enum", [field.get("const")]))
    if "anyOf" in field:
        return " or ".join(dict.fromkeys(_type(each) for each in field["anyOf"]))
    if field.get("type") == "array":
        items = field.get("items", {})
        return "list" if not items or "oneOf" in items else f"list of {_type(items)}"
    if field.get("type") == "object":
        inner = field.get("additionalProperties")
        return f"mapping to {_type(inner)}" if isinstance(inner, dict) else "mapping"
    return JSON_TYPES.get(field.get("type", ""), "any") + _range(field)


def _range(field: Schema) -> str:
    low, high = field.get("minimum"), field.get("maximum")
    if low is not None and high is not None:
        return f" ({low:,} to {high:,})"
    limits = {
        "minimum": "at least",
        "exclusiveMinimum": "above",
        "maximum": "at most",
        "exclusiveMaximum": "below",
    }
    found = [f"{word} {field[key]:,}" for key, word in limits.items() if key in field]
    return f" ({' and '.join(found)})" if found else ""


def cli() -> str:
    """Return the reference of the commands, as Typer writes it."""
    import typer
    from typer.cli import get_docs_for_click

    from retain.cli import app

    command = typer.main.get_command(app)
    text = get_docs_for_click(obj=command, ctx=typer.Context(command), name="retain")
    text = text.replace("# `retain`\n", f"# Commands\n\n{MADE}\n", 1)
    commands = [
        f"* [`retain {name}`](#retain-{name}): {_line((each.help or '').partition(chr(10) * 2)[0])}"
        for name, each in command.commands.items()
    ]
    listed = re.compile(r"(?<=\*\*Commands\*\*:\n\n)(\* .*\n)+")  # there they are cut off
    text = listed.sub(lambda _: "\n".join(commands) + "\n", text, count=1)
    return re.sub(r"\n{3,}", "\n\n", text).rstrip() + "\n"


def python() -> str:
    """Return the reference of the Python API, from its docstrings."""
    import retain
    from retain import api, errors

    parts = ["# Python API", MADE, _body(api)]
    for name in sorted({*retain.__all__, *api.__all__} - {"__version__"}, key=_order):
        thing = getattr(api, name)
        parts += (
            _class(name, thing) if inspect.isclass(thing) else _function(f"retain.{name}", thing)
        )
    parts += ["## Errors", _body(errors)]
    rows = [
        [f"`{name}`", SECTION.split(inspect.getdoc(thing) or "")[0]]
        for name, thing in vars(errors).items()
        if inspect.isclass(thing)
        and issubclass(thing, Exception)
        and thing.__module__ == errors.__name__
    ]
    return _page([*parts, _table(["exception", ""], rows)])


def _order(name: str) -> tuple[bool, str]:
    """Functions before classes."""
    return name[0].isupper(), name


def _class(name: str, thing: type) -> Iterator[str]:
    """Yield the parts about a class: what is public of it, in the order of the source."""
    yield f"## retain.{name}"
    yield _body(thing)
    for member, value in vars(thing).items():
        plain = value.__func__ if isinstance(value, classmethod | staticmethod) else value
        if member.startswith("_"):
            continue
        if isinstance(plain, property):
            yield f"### {name}.{member}"
            hint = get_type_hints(plain.fget).get("return")
            yield f"Property, `{_hint(hint)}`. {_body(plain)}"
        elif inspect.isfunction(plain):
            yield from _function(f"{name}.{member}", plain, "###")


def _function(name: str, thing: Callable[..., Any], level: str = "##") -> Iterator[str]:
    yield f"{level} {name}"
    signature = inspect.signature(thing)
    given = [p for p in signature.parameters.values() if p.name not in ("self", "cls")]
    shown = signature.replace(parameters=given)
    text = _short(str(shown))
    one = f"{name}{text}"
    if len(one) > 92:
        lines = "".join(f"    {part},\n" for part in _split(text))
        one = f"{name}(\n{lines}){text[text.rindex(')') + 1 :]}"
    yield f"```python\n{one}\n```"
    yield _body(thing)


def _split(signature: str) -> list[str]:
    """Split the parameters of a signature at the commas between them."""
    inner, depth, parts = signature[1 : signature.rindex(")")], 0, [""]
    for letter in inner:
        depth += {"[": 1, "(": 1, "]": -1, ")": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def _hint(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) else _short(str(hint))


def _short(text: str) -> str:
    """Return types without the modules that they are of, and spelt alike by all Pythons."""
    return re.sub(r"Optional\[(\w+)\]", r"\1 | None", re.sub(r"\b(?:\w+\.)+(?=[A-Za-z])", "", text))


def _body(thing: Any) -> str:
    """Return a docstring as Markdown: its sections become lists."""
    text = inspect.getdoc(thing) or ""
    prose, *sections = SECTION.split(text)
    parts = [prose.strip()]
    for title, content in zip(sections[::2], sections[1::2], strict=True):
        entries = re.findall(r"^ {4}(\S.*(?:\n {5,}.*)*)", content, re.MULTILINE)
        lines = [re.sub(r"\s+", " ", entry) for entry in entries]
        if title in ("Returns", "Yields"):
            parts.append(f"**{title}**: {' '.join(lines)}")
        else:
            named = [re.sub(r"^([*\w]+):", r"`\1`:", line) for line in lines]
            parts.append(f"**{title}**\n\n" + "\n".join(f"* {line}" for line in named))
    return "\n\n".join(parts)


def _prose(section: type) -> str:
    """Return the docstring of a section without what is said of its keys."""
    return inspect.cleandoc(section.__doc__ or "").partition("\n\nAttributes:")[0]


def _line(text: str) -> str:
    return " ".join(text.split())


def _names(values: Any) -> str:
    return ", ".join(f"`{value}`" for value in values)


def _table(titles: list[str], rows: list[list[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(_line(cell) for cell in row) + " |" for row in lines)


def _page(parts: list[str]) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"


def main() -> None:
    """Write the pages."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
