"""The JSON Schema of params.yaml, with which an editor completes and checks the file."""

from typing import Any

from retain.config.kind import PLUGINS, find_kind, kind_names


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
        template = f"#/$defs/{name}_{{model}}"
        schema = kind.problem.load.model_json_schema(ref_template=template)
        for model, content in schema.pop("$defs", {}).items():
            definitions[f"{name}_{model}"] = content
        definitions[name] = schema
    problem = {
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
                "additionalProperties": problem,
            },
        },
        "required": ["problems"],
        "additionalProperties": False,
        "$defs": definitions,
    }
