"""Pydantic models for the request body of `POST /v1/messages`. `parse` validates the content blocks later."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from claude_gateway.dialects.anthropic.parameters import NEUTRAL_VALUES
from claude_gateway.dialects.common.parameters.list_limits import (
    MAX_CONTENT_PARTS,
    MAX_LISTED_TOOLS,
    MAX_MESSAGES,
    MAX_STOP_SEQUENCES,
)
from claude_gateway.dialects.common.parameters.numbers import Count, Number, Probability, Range
from claude_gateway.dialects.common.parameters.output_config import OutputConfig, OutputFormat
from claude_gateway.dialects.common.parameters.support import drop_unset
from claude_gateway.dialects.common.parameters.thinking import ThinkingParameter

ContentBlocks = Annotated[list[dict[str, Any]], Field(fail_fast=True, max_length=MAX_CONTENT_PARTS)]


class MessagesSchema(BaseModel):
    """Base class of the request models in this module. It keeps fields that the models do not define."""

    model_config = ConfigDict(extra="allow", frozen=True)


class MessageParam(MessagesSchema):
    """One message of the conversation in a request."""

    # Claude Code sends messages of the role `system` between the messages of the user and the assistant.
    role: Literal["user", "assistant", "system"]
    content: str | ContentBlocks


class MessagesRequest(MessagesSchema):
    """The request body of `POST /v1/messages`."""

    model: str = Field(min_length=1)
    messages: Annotated[list[MessageParam], Field(fail_fast=True, min_length=1, max_length=MAX_MESSAGES)]
    max_tokens: Count | None = None
    system: str | ContentBlocks | None = None
    stream: bool | None = None
    temperature: Annotated[Number, Range(0, 1)] | None = None
    top_p: Probability | None = None
    top_k: Count | None = None
    tools: Annotated[list[Any], Field(max_length=MAX_LISTED_TOOLS)] | None = None
    tool_choice: dict[str, Any] | None = None
    stop_sequences: Annotated[list[str], Field(fail_fast=True, max_length=MAX_STOP_SEQUENCES)] | None = None
    thinking: ThinkingParameter | None = None
    output_config: OutputConfig | None = None
    # Extension of this gateway: the id of the stored conversation that the request continues.
    session_id: str | None = None
    # The name that `output_config.format` had in its beta version.
    output_format: OutputFormat | None = None
    # Extensions of this gateway: whether the model may use built-in tools, and whether the response shows their calls.
    enable_tools: bool | None = None
    stream_tool_progress: bool | None = None

    @model_validator(mode="before")
    @classmethod
    def _drop_unset_fields(cls, value: Any) -> Any:
        return drop_unset(value, NEUTRAL_VALUES) if isinstance(value, dict) else value

    @property
    def unknown_fields(self) -> dict[str, Any]:
        """The fields of the request that this class does not define."""
        return self.model_extra or {}
