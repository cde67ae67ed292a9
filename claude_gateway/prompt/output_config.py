"""`output_config` of the Messages API: how hard Claude tries, and the JSON that its answer must be. Pure."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from claude_gateway.structured.schemas import read_schema
from workers.job import Effort, OutputSchema


class OutputFormat(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)

    type: Literal["json_schema"]
    # `schema` is a method of every pydantic model.
    schema_: dict[str, Any] = Field(alias="schema")


class OutputConfig(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)

    effort: Effort | None = None
    format: OutputFormat | None = None


def output_schema(
    config: OutputConfig | None, older: OutputFormat | None, notes: list[str], prefix: str = ""
) -> OutputSchema | None:
    """The schema of `output_config.format`, or of `output_format`, its older name; `prefix` is the place of both."""
    if config is not None and config.format is not None:
        return read_schema(config.format.schema_, f"{prefix}output_config.format.schema", notes)
    if older is not None:
        return read_schema(older.schema_, f"{prefix}output_format.schema", notes)
    return None
