"""Function that makes the smallest valid value of a JSON Schema, for replies that must be JSON. Does no I/O."""

from collections.abc import Mapping
from typing import Any

_SIMPLEST_VALUES: Mapping[str, Any] = {"string": "", "integer": 0, "number": 0, "boolean": False, "null": None}
_MAX_DEPTH = 20


def smallest_instance(schema: Any, root: Any = None, depth: int = 0) -> Any:
    """Return the smallest valid value of a JSON Schema.

    The schema can contain each keyword that the API supports for structured outputs. The function ignores bounds such
    as `minLength`, because the API does not support them.

    Args:
        schema: The schema.
        root: The schema that contains the definitions to which `$ref` refers; None if `schema` contains them.
        depth: The depth of the recursion. If it exceeds `_MAX_DEPTH`, the function returns None.
    """
    root = schema if root is None else root
    if not isinstance(schema, dict) or depth > _MAX_DEPTH:
        return None
    if "$ref" in schema:
        return smallest_instance(_resolve_ref(schema["$ref"], root), root, depth + 1)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    for union in ("anyOf", "oneOf", "allOf"):
        if schema.get(union):
            return smallest_instance(schema[union][0], root, depth + 1)
    type_ = schema.get("type")
    type_ = type_[0] if isinstance(type_, list) and type_ else type_
    if type_ == "array":
        return [smallest_instance(schema.get("items"), root, depth + 1)] if schema.get("minItems") else []
    if type_ == "object" or "properties" in schema:
        properties = schema.get("properties") or {}
        return {name: smallest_instance(properties.get(name), root, depth + 1) for name in schema.get("required") or ()}
    return _SIMPLEST_VALUES.get(str(type_))


def _resolve_ref(pointer: str, root: Any) -> Any:
    target = root
    for name in pointer.removeprefix("#").split("/")[1:]:
        target = target.get(name.replace("~1", "/").replace("~0", "~")) if isinstance(target, dict) else None
    return target
