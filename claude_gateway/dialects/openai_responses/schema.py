"""Pydantic models for the body of `POST /v1/responses`. They keep unknown fields, so that warnings can name them.

These models do not validate the input items and the tools. The modules `input_items` and `tools` do this later.
"""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from claude_gateway.dialects.common.parameters.list_limits import MAX_LISTED_TOOLS, MAX_MESSAGES
from claude_gateway.dialects.common.parameters.numbers import Count, Number, Probability, Range
from claude_gateway.dialects.common.parameters.support import drop_unset
from claude_gateway.dialects.common.parameters.thinking import ReasoningEffort
from claude_gateway.dialects.openai_responses.parameters import NEUTRAL_VALUES

_MAX_INCLUDED = 100


class ResponsesSchema(BaseModel):
    """Base class of all models in this module. It keeps fields that the models do not define."""

    model_config = ConfigDict(extra="allow", frozen=True)


class ResponsesReasoning(ResponsesSchema):
    """The object `reasoning` of a Responses request."""

    effort: ReasoningEffort | None = None
    summary: str | None = None


class TextConfig(ResponsesSchema):
    """The object `text` of a Responses request."""

    format: dict[str, Any] | None = None
    verbosity: str | None = None


class ResponsesStreamOptions(ResponsesSchema):
    """The object `stream_options` of a Responses request."""

    # Only chat requests define this parameter. An editor sends a Responses body to the path of chat requests, and
    # expects a stream in the chat format that ends with a chunk for the usage.
    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class ResponsesRequest(ResponsesSchema):
    """The body of a Responses request."""

    model: str = Field(min_length=1)
    # The type allows an object only because `parse` has an error text for this mistake. The type `Any` avoids an error
    # for each item of a list.
    input: str | Annotated[list[Any], Field(max_length=MAX_MESSAGES)] | dict[str, Any] | None = None
    instructions: str | None = None
    max_output_tokens: Count | None = None
    temperature: Annotated[Number, Range(0, 2)] | None = None
    top_p: Probability | None = None
    tools: Annotated[list[Any], Field(max_length=MAX_LISTED_TOOLS)] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    reasoning: ResponsesReasoning | None = None
    reasoning_effort: ReasoningEffort | None = None
    text: TextConfig | None = None
    stream: bool | None = None
    stream_options: ResponsesStreamOptions | None = None
    include: Annotated[list[str], Field(fail_fast=True, max_length=_MAX_INCLUDED)] | None = None
    store: bool | None = None
    background: bool | None = None
    metadata: dict[str, Any] | None = None
    previous_response_id: str | None = None
    conversation: str | dict[str, Any] | None = None
    prompt: dict[str, Any] | None = None
    # Extensions of this gateway: whether the model may use built-in tools, and whether the thinking shows their calls.
    enable_tools: bool | None = None
    stream_tool_progress: bool | None = None

    @model_validator(mode="before")
    @classmethod
    def _drop_unset_fields(cls, value: Any) -> Any:
        return drop_unset(value, NEUTRAL_VALUES) if isinstance(value, dict) else value

    @property
    def unknown_fields(self) -> dict[str, Any]:
        """Fields of the request that this model does not define."""
        return self.model_extra or {}
