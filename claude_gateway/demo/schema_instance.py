"""The smallest value that fits a schema, for answers of the stand-in that must be JSON. Pure."""

from collections.abc import Mapping
from typing import Any

_PLAIN: Mapping[str, Any] = {"string": "", "integer": 0, "number": 0, "boolean": False, "null": None}
_MAX_DEPTH = 20


def smallest(schema: Any, root: Any = None, depth: int = 0) -> Any:
    """Of the schemas that structured outputs take: without bounds, with `$ref` into the definitions."""
    root = schema if root is None else root
    if not isinstance(schema, dict) or depth > _MAX_DEPTH:
        return None
    if "$ref" in schema:
        return smallest(_resolved(schema["$ref"], root), root, depth + 1)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    for union in ("anyOf", "oneOf", "allOf"):
        if schema.get(union):
            return smallest(schema[union][0], root, depth + 1)
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) and kind else kind
    if kind == "array":
        return [smallest(schema.get("items"), root, depth + 1)] if schema.get("minItems") else []
    if kind == "object" or "properties" in schema:
        properties = schema.get("properties") or {}
        return {name: smallest(properties.get(name), root, depth + 1) for name in schema.get("required") or ()}
    return _PLAIN.get(str(kind))


def _resolved(pointer: str, root: Any) -> Any:
    found = root
    for name in pointer.removeprefix("#").split("/")[1:]:
        found = found.get(name.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
    return found
