"""Functions that make the JSON Schemas of requests and responses for the OpenAPI document. Does no I/O."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from claude_gateway.dialects.common.parameters.support import SupportTable

Json = dict[str, Any]
_REF_PREFIX = "#/components/schemas/"
# Matches the long name that pydantic gives to a class if another class has the same name, such as
# `claude_gateway__dialects__gemini__schema__Part`.
_QUALIFIED_NAME = re.compile(r"(?:\w+?__)+(\w+?)__\w+?__(\w+)")


class _SchemaGenerator(GenerateJsonSchema):
    """Generator of JSON Schemas without the title and the default null that pydantic otherwise gives to fields."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - part of the overridden signature
        """Return False, so that no field has a title. A title would only repeat the name of the field."""
        return False

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Return the schema of a field, without its default if the default is None.

        The default None only means that the field may be absent, and `required` already says this.
        """
        if schema.get("default", ...) is None:
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)


def build_components(
    models: Iterable[Any], parameter_tables: Mapping[type, SupportTable]
) -> tuple[dict[Any, Json], Json]:
    """Return the JSON Schema of each model, and the shared schemas to which these JSON Schemas refer.

    If a model has a parameter table, the schema of the model has a field for each parameter in the table. The
    description of this field says how the gateway supports the parameter.
    """
    all_models = dict.fromkeys([*models, *parameter_tables])
    schemas_by_mode, shared = TypeAdapter.json_schemas(
        [(model, "validation", TypeAdapter(model)) for model in all_models],
        ref_template=f"{_REF_PREFIX}{{model}}",
        schema_generator=_SchemaGenerator,
    )
    schemas = {model: schemas_by_mode[(model, "validation")] for model in all_models}
    definitions = shared.get("$defs", {})
    for model, table in parameter_tables.items():
        _add_parameter_descriptions(definitions[schemas[model]["$ref"].removeprefix(_REF_PREFIX)], table)
    return (
        {model: _with_short_refs(schema) for model, schema in schemas.items()},
        {_short_name(name): _with_short_refs(schema) for name, schema in sorted(definitions.items())},
    )


def _add_parameter_descriptions(schema: Json, table: SupportTable) -> None:
    properties = schema.setdefault("properties", {})
    for name, (support, reason) in table.items():
        description = f"{support.capitalize()}{f': {reason}' if reason else ''}."
        properties[name] = {**properties.get(name, {}), "description": description}


def _with_short_refs(value: Any) -> Any:
    match value:
        case {"$ref": str(ref), **other_fields}:
            return {"$ref": _REF_PREFIX + _short_name(ref.removeprefix(_REF_PREFIX)), **other_fields}
        case dict():
            return {name: _with_short_refs(item) for name, item in value.items()}
        case list():
            return [_with_short_refs(item) for item in value]
    return value


def _short_name(name: str) -> str:
    """Return a short, unique name for a schema.

    For `claude_gateway__dialects__gemini__schema__Part`, this name is `GeminiPart`.
    """
    match = _QUALIFIED_NAME.fullmatch(name)
    if match is None:
        return name
    package, class_name = match.groups()
    return "".join(word.capitalize() for word in package.split("_")) + class_name
