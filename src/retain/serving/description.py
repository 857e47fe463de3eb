"""What the server says of itself as OpenAPI."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from retain.serving.champion import Loaded
from retain.serving.endpoint import Service

ERROR: dict[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string", "description": "What is wrong, and what to do."}},
}
CSV: dict[str, Any] = {"text/csv": {"schema": {"type": "string"}}}
MODEL_SAID: dict[str, Any] = {
    "type": "object",
    "properties": {key: {"type": "string"} for key in ("name", "version", "md5")},
}
IGNORED: dict[str, Any] = {
    "type": "array",
    "items": {"type": "string"},
    "description": "Columns of a CSV file that the model does not read.",
}


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
    "summary": "Version, lineage, metrics of the champion, and what it reads",
    "responses": _object("The champion.") | GUARDED,
}
EXAMPLE: dict[str, Any] = {
    "summary": "A table that the model answers",
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


def operation(summary: str, said: str, answer: dict[str, Any]) -> dict[str, Any]:
    """What FastAPI is told of the path at which a kind is asked.

    Args:
        summary: what is asked there.
        said: what comes back.
        answer: the properties that an answer has besides the model and the columns ignored.
    """
    properties = {"model": MODEL_SAID, "ignored": IGNORED, **answer}
    schema = {"type": "object", "required": list(properties), "properties": properties}
    good = {
        "description": f"{said}; as CSV where `Accept` asks for text/csv.",
        "headers": {"X-Model-Version": {"schema": {"type": "string"}}},
        "content": {"application/json": {"schema": schema}} | CSV,
    }
    responses = {
        200: good,
        400: _said("The body is no JSON, or broke off."),
        406: _said("`Accept` names neither JSON nor CSV."),
        408: _said("The client was too slow."),
        413: _said("Too large, or too many rows."),
        415: _said("`Content-Type` names neither JSON nor CSV."),
        422: _said("The request cannot be used; the sentence names row and column, or key."),
        503: _said("Too many wait, or no answer came in time."),
    }
    return {"summary": summary, "responses": responses | GUARDED}


def openapi(app: FastAPI, model: Loaded, service: Service) -> dict[str, Any]:
    """The description, with what the present champion reads and an example that it answers."""
    made = get_openapi(
        title=f"retain: {model.name}",
        version=app.version,
        summary=f"{service.summary} of the champion, version {model.version}",
        routes=app.routes,
    )
    made["components"] = {
        "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-API-Key"}}
    }
    for path, operations in made["paths"].items():
        if path != "/health":
            for each in operations.values():
                each["security"] = [{}, {"key": []}]
    made["paths"][service.path]["post"] |= service.request(model)
    return made
