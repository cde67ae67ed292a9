"""`POST /v1/responses` as it is sent. Unknown fields are kept, so that they can be named in a warning; items and tools
stay as they are: `items` and `tools` know which they can pass on."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from claude_gateway.dialects.openai_responses.parameters import NEUTRAL
from claude_gateway.prompt.numbers import Count, Number, Probability, Range
from claude_gateway.prompt.parameters import drop_unset
from claude_gateway.prompt.thinking import EffortWord

_MOST_ITEMS = 10_000
_MOST_TOOLS = 10_000
_MOST_INCLUDED = 100


class Wire(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)


class Reasoning(Wire):
    effort: EffortWord | None = None
    summary: str | None = None


class TextConfig(Wire):
    format: dict[str, Any] | None = None
    verbosity: str | None = None


class StreamOptions(Wire):
    # Not of this dialect; an editor that sends such a body as a chat asks for the chat's usage chunk.
    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class ResponsesRequest(Wire):
    model: str = Field(min_length=1)
    # An object here is somebody's mistake that `parse` can name; `Any` spares a list an error for each of its items.
    input: str | Annotated[list[Any], Field(max_length=_MOST_ITEMS)] | dict[str, Any] | None = None
    instructions: str | None = None
    max_output_tokens: Count | None = None
    temperature: Annotated[Number, Range(0, 2)] | None = None
    top_p: Probability | None = None
    tools: Annotated[list[Any], Field(max_length=_MOST_TOOLS)] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    reasoning: Reasoning | None = None
    reasoning_effort: EffortWord | None = None
    text: TextConfig | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    include: Annotated[list[str], Field(fail_fast=True, max_length=_MOST_INCLUDED)] | None = None
    store: bool | None = None
    background: bool | None = None
    metadata: dict[str, Any] | None = None
    previous_response_id: str | None = None
    conversation: str | dict[str, Any] | None = None
    prompt: dict[str, Any] | None = None
    # Not the provider's: whether Claude is to use its own tools, and tell of it among its thoughts.
    enable_tools: bool | None = None
    stream_tool_progress: bool | None = None

    @model_validator(mode="before")
    @classmethod
    def _drop_unset_fields(cls, value: Any) -> Any:
        return drop_unset(value, NEUTRAL) if isinstance(value, dict) else value

    @property
    def unknown(self) -> dict[str, Any]:
        """Fields that this model does not name."""
        return self.model_extra or {}
