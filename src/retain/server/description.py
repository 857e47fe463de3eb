"""What the server says of itself as OpenAPI."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from retain.server.live import Loaded

ERROR: dict[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string", "description": "What is wrong, and what to do."}},
}
CSV: dict[str, Any] = {"text/csv": {"schema": {"type": "string"}}}
ANSWER: dict[str, Any] = {
    "type": "object",
    "required": ["model", "ignored", "forecast"],
    "properties": {
        "model": {
            "type": "object",
            "properties": {key: {"type": "string"} for key in ("name", "version", "md5")},
        },
        "ignored": {
            "type": "array",
            "items": {"type": "string"},
            "description": "Columns of a CSV file that the model does not read.",
        },
        "forecast": {
            "type": "object",
            "description": "By column: unique_id, ds, and one for each quantile; the horizon's "
            "steps of each series one after the other.",
            "additionalProperties": {"type": "array"},
        },
    },
}
VALUE: dict[str, Any] = {"type": ["number", "string", "null"]}
BY_COLUMN = "By column"
BY_ROW = "By row"


def _said(status: str) -> dict[str, Any]:
    return {"description": status, "content": {"application/json": {"schema": ERROR}}}


GUARDED: dict[int | str, Any] = {401: _said("The key is missing or wrong.")}


def _object(text: str) -> dict[int | str, Any]:
    return {
        200: {
            "description": text,
            "content": {"application/json": {"schema": {"type": "object"}}},
        }
    }


HEALTH: dict[str, Any] = {
    "summary": "Whether the server answers, and whether its registry does",
    "responses": _object("It does; `registry` says why the registry could not be asked, if so."),
}
MODEL: dict[str, Any] = {
    "summary": "Version, lineage, metrics and columns of the champion",
    "responses": _object("The champion.") | GUARDED,
}
EXAMPLE: dict[str, Any] = {
    "summary": "A history that the model can forecast from",
    "responses": {200: {"description": "As CSV.", "content": CSV}} | GUARDED,
}
METRICS: dict[str, Any] = {
    "summary": "Counters for Prometheus",
    "responses": {
        200: {
            "description": "In Prometheus' text format.",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        }
    }
    | GUARDED,
}
FORECAST: dict[str, Any] = {
    "summary": "Forecast every series of a table of history",
    "responses": {
        200: {
            "description": "The quantiles; as CSV where `Accept` asks for text/csv.",
            "headers": {"X-Model-Version": {"schema": {"type": "string"}}},
            "content": {"application/json": {"schema": ANSWER}} | CSV,
        },
        400: _said("The body is no JSON, or broke off."),
        406: _said("`Accept` names neither JSON nor CSV."),
        408: _said("The client was too slow."),
        413: _said("Too large, or too many rows."),
        415: _said("`Content-Type` names neither JSON nor CSV."),
        422: _said("The table cannot be used; the sentence names row and column."),
        503: _said("Too many wait, or no answer came in time."),
    }
    | GUARDED,
}


def openapi(app: FastAPI, model: Loaded) -> dict[str, Any]:
    """The description, with the columns of the present champion and a table that it answers."""
    made = get_openapi(
        title=f"retain: {model.name}",
        version=app.version,
        summary=f"Forecasts of the champion, version {model.version}",
        routes=app.routes,
    )
    made["components"] = {
        "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-API-Key"}}
    }
    for path, operations in made["paths"].items():
        if path != "/health":
            for operation in operations.values():
                operation["security"] = [{}, {"key": []}]
    names = model.served.columns()
    by_column = {
        "title": BY_COLUMN,
        "type": "object",
        "required": names,
        "additionalProperties": False,
        "properties": {name: {"type": "array", "minItems": 1, "items": VALUE} for name in names},
    }
    by_row = {
        "title": BY_ROW,
        "type": "array",
        "minItems": 1,
        "items": {
            "type": "object",
            "required": names,
            "additionalProperties": False,
            "properties": dict.fromkeys(names, VALUE),
        },
    }
    example = model.example.astype(object).where(model.example.notna(), None)
    made["paths"]["/forecast"]["post"]["requestBody"] = {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["history"],
                    "additionalProperties": False,
                    "properties": {"history": {"oneOf": [by_column, by_row]}},
                },
                "examples": {
                    BY_COLUMN: {"value": {"history": example.to_dict("list")}},
                    BY_ROW: {"value": {"history": example.to_dict("records")}},
                },
            },
            "text/csv": CSV["text/csv"]
            | {"examples": {"CSV": {"value": model.served.csv(model.example)}}},
        },
    }
    return made
