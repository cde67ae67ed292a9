"""Makes the schema of a tool one that the Messages API takes. Pure.

The API takes an object at the root, without `anyOf`, `oneOf` or `allOf` beside it ("input_schema does not support
oneOf, allOf, or anyOf at the top level"). The branches are merged into one object; the constraint itself stays readable
in the `description` of the schema, so the description of the tool is left as the client wrote it.
"""

import json
from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]

_UNIONS = {
    "anyOf": "The arguments must match at least one of these schemas: ",
    "oneOf": "The arguments must match exactly one of these schemas: ",
    "allOf": "The arguments must match all of these schemas: ",
}
# A union whose branches are unions, and so on; deeper ones keep their properties to themselves.
_MAX_DEPTH = 8


def object_schema(schema: Schema) -> Schema:
    """Return the schema with `type: object` and no union at its root; the same object where it has none."""
    if not any(isinstance(schema.get(keyword), list) for keyword in _UNIONS):
        return schema if schema.get("type") == "object" else {"type": "object", **schema}
    merged = _merged(schema, schema, _MAX_DEPTH)
    constraints = [
        text + json.dumps(schema[keyword], ensure_ascii=False, separators=(",", ":"))
        for keyword, text in _UNIONS.items()
        if isinstance(schema.get(keyword), list)
    ]
    said = schema.get("description")
    merged["description"] = "\n".join([said, *constraints] if isinstance(said, str) and said else constraints)
    return {"type": "object", **merged}


def _merged(schema: Schema, root: Schema, depth: int) -> dict[str, Any]:
    """One object with the properties of all branches; required is what every possible call must have."""
    merged = {name: value for name, value in schema.items() if name not in _UNIONS}
    properties = dict(_mapping(schema.get("properties")))
    required = set(_strings(schema.get("required")))
    for keyword in _UNIONS:
        listed = schema.get(keyword)
        if not isinstance(listed, list):
            continue
        branches = [_branch(branch, root, depth) for branch in listed]
        for branch in branches:
            for name, value in _mapping(branch.get("properties")).items():
                properties[name] = _either(properties[name], value) if name in properties else value
        needed = [set(_strings(branch.get("required"))) for branch in branches]
        if needed:
            required |= set().union(*needed) if keyword == "allOf" else needed[0].intersection(*needed[1:])
        closed = [branch.get("additionalProperties") is False for branch in branches]
        if keyword != "allOf" and closed and all(closed):
            merged.setdefault("additionalProperties", False)
    if properties:
        merged["properties"] = properties
    # In the order in which the properties stand, so that the same schema becomes the same bytes.
    order = [*properties, *sorted(required - properties.keys())]
    if required:
        merged["required"] = [name for name in order if name in required]
    return merged


def _branch(branch: Any, root: Schema, depth: int) -> Schema:
    match branch:
        case {"$ref": str(reference)} if depth:
            return _branch(_referred(reference, root), root, depth - 1)
        case Mapping() if depth:
            return _merged(branch, root, depth - 1)
    return {}


def _referred(reference: str, root: Schema) -> Any:
    """What a reference within the schema points to; None where it points nowhere."""
    place: Any = root
    for part in reference.removeprefix("#").strip("/").split("/") if reference != "#" else ():
        place = _mapping(place).get(part.replace("~1", "/").replace("~0", "~"))
    return place if reference.startswith("#") else None


def _either(one: Any, other: Any) -> Any:
    """A property that two branches describe differently may be either."""
    if one == other:
        return one
    known = one["anyOf"] if isinstance(one, Mapping) and one.keys() == {"anyOf"} else [one]
    return one if other in known else {"anyOf": [*known, other]}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _strings(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
