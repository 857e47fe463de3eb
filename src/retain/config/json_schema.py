"""The JSON Schema of params.yaml, with which an editor completes and checks the file."""

from typing import Any

from retain.config.kind import find_kind, kind_names


def params_schema() -> dict[str, Any]:
    """Return the schema of the whole file; each problem has the schema of its kind.

    The pipeline checks what a schema cannot express, such as the names of baselines.
    """
    kinds, definitions = kind_names(), {}
    for name in kinds:
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
            for name in kinds
        ],
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "params.yaml",
        "type": "object",
        "properties": {
            "problems": {
                "type": "object",
                "propertyNames": {"pattern": "^[a-z][a-z0-9_]*$"},
                "additionalProperties": problem,
            }
        },
        "required": ["problems"],
        "additionalProperties": False,
        "$defs": definitions,
    }
