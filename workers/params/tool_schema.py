"""Converts the schema of a tool to a schema that the Messages API accepts. No I/O.

The API requires an object schema without `anyOf`, `oneOf` or `allOf` at its root ("input_schema does not support oneOf,
allOf, or anyOf at the top level"). This module calls these three keywords unions. It merges the branches of the unions
into one object schema, and builds a text about the unions for the description of the tool.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]

_UNION_PREAMBLES = {
    "anyOf": "The arguments must match at least one of these schemas: ",
    "oneOf": "The arguments must match exactly one of these schemas: ",
    "allOf": "The arguments must match all of these schemas: ",
}
# The maximum depth to which unions may be nested within unions. The merged schema does not contain the properties of
# deeper branches.
_MAX_DEPTH = 8
# The maximum number of branches and properties that the merger merges for one schema. If a schema refers several times
# to the same branch or property, each reference counts, because a schema that refers to itself has no end.
_MAX_MERGED_ITEMS = 20_000
# The maximum number of different subschemas that different branches may have for one property.
_MAX_ALTERNATIVES = 20


def to_object_schema(schema: Schema) -> Schema:
    """Return the schema with `type: object` and without unions at its root.

    A schema that is already valid stays the same.
    """
    merged = _Merger(schema).merge(schema, _MAX_DEPTH) if any(_iter_unions(schema)) else schema
    return merged if merged.get("type") == "object" else {"type": "object", **merged}


def build_constraint_text(schema: Schema) -> str:
    """Return a text that describes the unions at the root of a schema, or "" if the schema has none."""
    return "\n".join(
        _UNION_PREAMBLES[keyword] + json.dumps(branches, ensure_ascii=False, separators=(",", ":"))
        for keyword, branches in _iter_unions(schema)
    )


def _iter_unions(schema: Schema) -> Iterator[tuple[str, list[Any]]]:
    return ((keyword, schema[keyword]) for keyword in _UNION_PREAMBLES if isinstance(schema.get(keyword), list))


class _Merger:
    """Merges the branches of the unions in one schema.

    Args:
        root: The whole schema. It contains the definitions to which `$ref` refers.
    """

    def __init__(self, root: Schema) -> None:
        self._root = root
        self._remaining_items = _MAX_MERGED_ITEMS

    def merge(self, schema: Schema, depth: int) -> dict[str, Any]:
        """Merge the branches of all unions at the root of a schema into one object schema.

        The result contains the properties of all branches. It requires the properties that the root or the branches of
        an `allOf` require.

        Args:
            schema: The schema to merge.
            depth: The number of further levels of nested unions that the method merges.
        """
        merged = {name: value for name, value in schema.items() if name not in _UNION_PREAMBLES}
        properties = dict(_mapping_or_empty(schema.get("properties")))
        required = dict.fromkeys(_filter_strings(schema.get("required")))
        self._remaining_items -= 1 + len(merged) + len(properties) + len(required)
        for keyword, branches in _iter_unions(schema):
            for unmerged in branches:
                if self._remaining_items <= 0:
                    break
                branch = self._merge_branch(unmerged, depth)
                for name, value in _mapping_or_empty(branch.get("properties")).items():
                    properties[name] = _merge_alternatives(properties[name], value) if name in properties else value
                if keyword == "allOf":
                    required |= dict.fromkeys(_filter_strings(branch.get("required")))
        if properties:
            merged["properties"] = properties
        if required:
            merged["required"] = list(required)
        return merged

    def _merge_branch(self, branch: Any, depth: int) -> Schema:
        self._remaining_items -= 1
        if not depth:
            return {}
        match branch:
            case {"$ref": str(reference)}:
                return self._merge_branch(_resolve_reference(reference, self._root), depth - 1)
            case Mapping():
                return self.merge(branch, depth - 1)
        return {}


def _resolve_reference(reference: str, root: Schema) -> Any:
    """Return the part of the schema to which a reference points, or None if there is no such part."""
    target: Any = root
    for part in reference.removeprefix("#").strip("/").split("/") if reference != "#" else ():
        target = _mapping_or_empty(target).get(part.replace("~1", "/").replace("~0", "~"))
    return target if reference.startswith("#") else None


def _merge_alternatives(first: Any, second: Any) -> Any:
    """Combine the subschemas that two branches have for the same property. The result accepts what either accepts."""
    if first == second:
        return first
    alternatives = first["anyOf"] if isinstance(first, Mapping) and first.keys() == {"anyOf"} else [first]
    return (
        first
        if len(alternatives) >= _MAX_ALTERNATIVES or second in alternatives
        else {"anyOf": [*alternatives, second]}
    )


def _mapping_or_empty(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _filter_strings(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
