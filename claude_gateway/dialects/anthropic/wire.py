"""`POST /v1/messages` as it is sent. Content blocks stay as they are: `parse` knows which it can pass on."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from claude_gateway.dialects.anthropic.parameters import NEUTRAL
from claude_gateway.prompt.numbers import Count, Number, Probability, Range
from claude_gateway.prompt.output_config import OutputConfig, OutputFormat
from claude_gateway.prompt.parameters import drop_unset
from claude_gateway.prompt.thinking import ThinkingParameter

_MOST_MESSAGES = 10_000
_MOST_BLOCKS = 10_000
_MOST_TOOLS = 10_000
_MOST_STOPS = 1_000

Blocks = Annotated[list[dict[str, Any]], Field(fail_fast=True, max_length=_MOST_BLOCKS)]


class Wire(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)


class Message(Wire):
    # Claude Code itself sends entries of role `system` among the others.
    role: Literal["user", "assistant", "system"]
    content: str | Blocks


class MessagesRequest(Wire):
    model: str = Field(min_length=1)
    messages: Annotated[list[Message], Field(fail_fast=True, min_length=1, max_length=_MOST_MESSAGES)]
    max_tokens: Count | None = None
    system: str | Blocks | None = None
    stream: bool | None = None
    temperature: Annotated[Number, Range(0, 1)] | None = None
    top_p: Probability | None = None
    top_k: Count | None = None
    tools: Annotated[list[Any], Field(max_length=_MOST_TOOLS)] | None = None
    tool_choice: dict[str, Any] | None = None
    stop_sequences: Annotated[list[str], Field(fail_fast=True, max_length=_MOST_STOPS)] | None = None
    thinking: ThinkingParameter | None = None
    output_config: OutputConfig | None = None
    # Not the provider's: which conversation Claude is to remember.
    session_id: str | None = None
    # What `output_config.format` was called in its beta.
    output_format: OutputFormat | None = None
    # Nor these: whether Claude is to use its own tools, and tell of each call.
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
