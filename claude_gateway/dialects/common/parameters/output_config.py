"""Parse the parameter `output_config`, which contains the effort level and the JSON Schema for the reply. No I/O."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from claude_gateway.structured_output.schema_limits import parse_output_schema
from workers.core.job import Effort, OutputSchema


class OutputFormat(BaseModel):
    """The field `output_config.format`, which contains the JSON Schema that the reply must match."""

    model_config = ConfigDict(extra="allow", frozen=True)

    type: Literal["json_schema"]
    # The name `schema` is not possible: every pydantic model has a method of this name.
    schema_: dict[str, Any] = Field(alias="schema")


class OutputConfig(BaseModel):
    """The parameter `output_config` of a request."""

    model_config = ConfigDict(extra="allow", frozen=True)

    effort: Effort | None = None
    format: OutputFormat | None = None


def parse_output_config(
    config: OutputConfig | None, legacy_format: OutputFormat | None, notes: list[str], path_prefix: str = ""
) -> OutputSchema | None:
    """Return the JSON Schema for the reply, or None if the request has no schema.

    The schema is in `output_config.format`, or in `output_format`, which is the older name of this field.

    Args:
        config: `output_config` of the request.
        legacy_format: `output_format` of the request.
        notes: List to which the function adds a note for the client about each change to the schema.
        path_prefix: Field path of the object that holds both fields, with a dot at the end; "" for the request itself.
    """
    if config is not None and config.format is not None:
        return parse_output_schema(config.format.schema_, f"{path_prefix}output_config.format.schema", notes)
    if legacy_format is not None:
        return parse_output_schema(legacy_format.schema_, f"{path_prefix}output_format.schema", notes)
    return None
