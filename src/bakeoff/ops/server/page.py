"""The page that says what can be asked: made of the OpenAPI document, complete in itself, no script, no network."""

import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def page(document: Callable[[], dict[str, Any]]) -> Callable[[], str]:
    """What makes the page when it is first asked for."""

    @cache
    def made() -> str:
        environment = Environment(
            loader=PackageLoader("bakeoff.ops.server", "."),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
        )
        described = document()
        operations = [
            {"method": method.upper(), "path": path, **_operation(operation)}
            for path, methods in described["paths"].items()
            for method, operation in methods.items()
        ]
        schemas = {name: _fields(schema) for name, schema in described["components"]["schemas"].items()}
        return environment.get_template("docs.html.j2").render(
            info=described["info"], operations=operations, schemas=schemas
        )

    return made


def _operation(operation: Mapping[str, Any]) -> dict[str, Any]:
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    return {
        "summary": operation.get("summary", ""),
        "description": operation.get("description", ""),
        "body": None if body is None else _type(body),
        "parameters": [
            {"name": each["name"], "type": _type(each["schema"]), "default": each["schema"].get("default")}
            for each in operation.get("parameters", [])
        ],
        "responses": {
            status: (_type(_schema(each)) if _schema(each) else "", each.get("description", ""))
            for status, each in operation["responses"].items()
        },
    }


def _schema(response: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = response.get("content", {}).get("application/json", {}).get("schema", {})
    return found


def _fields(schema: Mapping[str, Any]) -> dict[str, Any]:
    required = schema.get("required", [])
    return {
        "description": schema.get("description", ""),
        "example": json.dumps(schema["examples"][0]) if schema.get("examples") else None,
        "fields": [
            {
                "name": name,
                "type": _type(field),
                "default": "required" if name in required else json.dumps(field.get("default")),
                "description": field.get("description", ""),
            }
            for name, field in schema.get("properties", {}).items()
        ],
    }


def _type(schema: Mapping[str, Any]) -> str:
    """A type in words."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(map(_type, schema["anyOf"])))
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if isinstance(schema.get("additionalProperties"), Mapping):
        return f"object of {_type(schema['additionalProperties'])}"
    return str(schema.get("type", "any"))
