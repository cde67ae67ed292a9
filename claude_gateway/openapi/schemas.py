"""The shapes of what is sent and answered, as the components of the document. Pure."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from claude_gateway.prompt.parameters import Table

Json = dict[str, Any]
_PLACE = "#/components/schemas/"
# Classes of one name are told apart by their modules: claude_gateway__dialects__gemini__wire__Part.
_LONG_NAME = re.compile(r"(?:\w+?__)+(\w+?)__\w+?__(\w+)")


class _Schema(GenerateJsonSchema):
    """Without what pydantic adds and nobody reads."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - the parent calls with it
        return False

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """None stands for a field that is missing, which is what `required` says."""
        if schema.get("default", ...) is None:
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)


def components(shapes: Iterable[Any], tables: Mapping[type, Table]) -> tuple[dict[Any, Json], Json]:
    """The schema of each shape, and the components that they refer to. What a table says of a parameter is said of the
    field too, and fields that only a table knows are added."""
    every = dict.fromkeys([*shapes, *tables])
    found, rest = TypeAdapter.json_schemas(
        [(shape, "validation", TypeAdapter(shape)) for shape in every],
        ref_template=f"{_PLACE}{{model}}",
        schema_generator=_Schema,
    )
    schemas = {shape: found[(shape, "validation")] for shape in every}
    definitions = rest.get("$defs", {})
    for model, table in tables.items():
        _describe(definitions[schemas[model]["$ref"].removeprefix(_PLACE)], table)
    return (
        {shape: _renamed(schema) for shape, schema in schemas.items()},
        {_short(name): _renamed(schema) for name, schema in sorted(definitions.items())},
    )


def _describe(schema: Json, table: Table) -> None:
    properties = schema.setdefault("properties", {})
    for name, (treatment, how) in table.items():
        told = f"{treatment.capitalize()}{f': {how}' if how else ''}."
        properties[name] = {**properties.get(name, {}), "description": told}


def _renamed(value: Any) -> Any:
    match value:
        case {"$ref": str(ref), **more}:
            return {"$ref": _PLACE + _short(ref.removeprefix(_PLACE)), **more}
        case dict():
            return {key: _renamed(one) for key, one in value.items()}
        case list():
            return [_renamed(one) for one in value]
    return value


def _short(name: str) -> str:
    """`GeminiPart` of the long one above."""
    match = _LONG_NAME.fullmatch(name)
    if match is None:
        return name
    package, own = match.groups()
    return "".join(word.capitalize() for word in package.split("_")) + own
