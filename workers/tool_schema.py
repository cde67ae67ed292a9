"""Makes the schema of a tool one that the Messages API takes. Pure.

The API takes an object at the root, without `anyOf`, `oneOf` or `allOf` beside it ("input_schema does not support
oneOf, allOf, or anyOf at the top level"). The branches are merged into one object, and the model reads the constraint
behind the description of the tool.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]

_UNIONS = {
    "anyOf": "The arguments must match at least one of these schemas: ",
    "oneOf": "The arguments must match exactly one of these schemas: ",
    "allOf": "The arguments must match all of these schemas: ",
}
# A union whose branches are unions, and so on; deeper ones keep their properties to themselves.
_MAX_DEPTH = 8
# Of the branches of one schema, with their properties, each counted as often as it is referred to: a schema that refers
# to itself some times over is without end. Branches beyond keep their properties to themselves.
_MAX_MERGED = 20_000
# Different descriptions of one property.
_MAX_ALTERNATIVES = 20


def object_schema(schema: Schema) -> Schema:
    """Return the schema with `type: object` and no union at its root; the same object where it has none."""
    merged = _Merger(schema).merged(schema, _MAX_DEPTH) if any(_unions(schema)) else schema
    return merged if merged.get("type") == "object" else {"type": "object", **merged}


def constraint(schema: Schema) -> str:
    """What the unions at the root of a schema demand, in words and JSON; "" where there is none."""
    return "\n".join(
        _UNIONS[keyword] + json.dumps(branches, ensure_ascii=False, separators=(",", ":"))
        for keyword, branches in _unions(schema)
    )


def _unions(schema: Schema) -> Iterator[tuple[str, list[Any]]]:
    return ((keyword, schema[keyword]) for keyword in _UNIONS if isinstance(schema.get(keyword), list))


class _Merger:
    """Merges the branches of one schema, `root`."""

    def __init__(self, root: Schema) -> None:
        self._root = root
        self._left = _MAX_MERGED

    def merged(self, schema: Schema, depth: int) -> dict[str, Any]:
        """One object with the properties of all branches; it requires what the root and each part of an `allOf`
        require."""
        merged = {name: value for name, value in schema.items() if name not in _UNIONS}
        properties = dict(_mapping(schema.get("properties")))
        required = dict.fromkeys(_strings(schema.get("required")))
        self._left -= 1 + len(merged) + len(properties) + len(required)
        for keyword, listed in _unions(schema):
            for one in listed:
                if self._left <= 0:
                    break
                branch = self._branch(one, depth)
                for name, value in _mapping(branch.get("properties")).items():
                    properties[name] = _either(properties[name], value) if name in properties else value
                if keyword == "allOf":
                    required |= dict.fromkeys(_strings(branch.get("required")))
        if properties:
            merged["properties"] = properties
        if required:
            merged["required"] = list(required)
        return merged

    def _branch(self, branch: Any, depth: int) -> Schema:
        self._left -= 1
        if not depth:
            return {}
        match branch:
            case {"$ref": str(reference)}:
                return self._branch(_referred(reference, self._root), depth - 1)
            case Mapping():
                return self.merged(branch, depth - 1)
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
    return one if len(known) >= _MAX_ALTERNATIVES or other in known else {"anyOf": [*known, other]}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _strings(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
