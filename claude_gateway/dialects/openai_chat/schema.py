"""Pydantic models for the body of `POST /v1/chat/completions`.

The models keep unknown fields, so that warnings can name them.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from claude_gateway.dialects.common.parameters.list_limits import (
    MAX_CONTENT_PARTS,
    MAX_LISTED_TOOLS,
    MAX_MESSAGES,
    MAX_STOP_SEQUENCES,
)
from claude_gateway.dialects.common.parameters.numbers import Count, Number, Probability, Range
from claude_gateway.dialects.common.parameters.output_config import OutputConfig, OutputFormat
from claude_gateway.dialects.common.parameters.support import drop_unset
from claude_gateway.dialects.common.parameters.thinking import ReasoningEffort, ReasoningParameter, ThinkingParameter
from claude_gateway.dialects.openai_chat.parameters import NEUTRAL_VALUES, OPTIONS_NEUTRAL_VALUES
from workers.core.job import Effort

# `fail_fast` stops the validation of a list at the first error. A body of 10 MB can contain millions of empty items,
# and each item would have its own errors.
ChatRole = Literal["system", "developer", "user", "assistant", "tool", "function"]


class ChatSchema(BaseModel):
    """Base class of all models in this module. It keeps fields that the models do not define."""

    model_config = ConfigDict(extra="allow", frozen=True)


class ChatContentPart(ChatSchema):
    """A part in the content of a message. The module `content_parts` validates the fields of each type."""

    type: str


class ChatFunctionCall(ChatSchema):
    """The function name and the arguments of a function call."""

    name: str
    # Usually a string that contains a JSON object. Calls of other models and truncated calls may contain other values.
    arguments: Any = ""


class ChatCustomToolCall(ChatSchema):
    """The tool name and the input of a custom tool call."""

    name: str
    input: Any = ""


class ChatToolCall(ChatSchema):
    """A call of a function or of a custom tool. Some clients send a call without an id."""

    id: str = ""
    function: ChatFunctionCall | None = None
    custom: ChatCustomToolCall | None = None

    @field_validator("id", mode="before")
    @classmethod
    def _null_to_empty(cls, value: Any) -> Any:
        return "" if value is None else value

    @model_validator(mode="after")
    def _require_function_or_custom(self) -> "ChatToolCall":
        if self.function is None and self.custom is None:
            raise ValueError("a tool call must contain a function or a custom tool")
        return self


class ChatMessage(ChatSchema):
    """A message of the conversation in a chat request."""

    role: ChatRole
    content: str | Annotated[list[ChatContentPart], Field(fail_fast=True, max_length=MAX_CONTENT_PARTS)] | None = None
    tool_calls: Annotated[list[ChatToolCall], Field(fail_fast=True, max_length=MAX_CONTENT_PARTS)] | None = None
    tool_call_id: str | None = None
    # The name of the called function, in a message of the role `function`, or of the role `tool` without a call id.
    name: Any = None
    function_call: ChatFunctionCall | None = None
    refusal: str | None = None


class ChatStreamOptions(ChatSchema):
    """The object `stream_options` of a chat request."""

    include_usage: bool | None = None


class AnthropicOptions(ChatSchema):
    """The object `anthropic_options` of a chat request.

    The model keeps options that the gateway does not support, so that warnings can name them.
    """

    system: Any = None
    max_tokens: Count | None = None
    temperature: Annotated[Number, Range(0, 1)] | None = None
    top_p: Probability | None = None
    top_k: Count | None = None
    stop_sequences: Annotated[list[str], Field(fail_fast=True, max_length=MAX_STOP_SEQUENCES)] | None = None
    tool_choice: str | dict[str, Any] | None = None
    thinking: ThinkingParameter | None = None
    output_config: OutputConfig | None = None
    output_format: OutputFormat | None = None
    # These options are not in the Messages API: another name of `output_config.effort`, and the name that some gateways
    # use for `cache_control`.
    effort: Effort | None = None
    prompt_caching: bool | None = None

    @model_validator(mode="before")
    @classmethod
    def _drop_unset_fields(cls, value: Any) -> Any:
        return drop_unset(value, OPTIONS_NEUTRAL_VALUES) if isinstance(value, dict) else value


class JsonSchema(ChatSchema):
    """The object `response_format.json_schema` of a chat request."""

    description: str | None = None
    # The name `schema` is not possible: every pydantic model has a method of this name.
    schema_: dict[str, Any] | None = Field(None, alias="schema")


class ResponseFormat(ChatSchema):
    """The object `response_format` of a chat request."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class ChatRequest(ChatSchema):
    """The body of a chat request."""

    model: str = Field(min_length=1)
    messages: Annotated[list[ChatMessage], Field(fail_fast=True, min_length=1, max_length=MAX_MESSAGES)]
    # A system prompt that is not a message, as a string or as blocks. Cursor sends it.
    system: Any = None
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    temperature: Annotated[Number, Range(0, 2)] | None = None
    top_p: Probability | None = None
    top_k: Count | None = None
    stop: str | Annotated[list[str], Field(fail_fast=True, max_length=MAX_STOP_SEQUENCES)] | None = None
    reasoning_effort: ReasoningEffort | None = None
    # Anthropic's OpenAI-compatible endpoint defines `thinking`, and OpenRouter defines `reasoning`.
    thinking: ThinkingParameter | None = None
    reasoning: ReasoningParameter | None = None
    anthropic_options: AnthropicOptions | None = None
    tools: Annotated[list[Any], Field(max_length=MAX_LISTED_TOOLS)] | None = None
    tool_choice: str | dict[str, Any] | None = None
    web_search_options: dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    functions: Annotated[list[Any], Field(max_length=MAX_LISTED_TOOLS)] | None = None
    function_call: str | dict[str, Any] | None = None
    response_format: ResponseFormat | None = None
    n: Count | None = None
    stream: bool | None = None
    stream_options: ChatStreamOptions | None = None
    # Extension of this gateway: the id of the stored conversation that the request continues.
    session_id: str | None = None
    # Extensions of this gateway: whether the model may use built-in tools, and whether the thinking shows their calls.
    enable_tools: bool | None = None
    stream_tool_progress: bool | None = None

    @model_validator(mode="before")
    @classmethod
    def _drop_unset_fields(cls, value: Any) -> Any:
        """Merge the fields of `extra_body` into the request, and drop parameters whose value means "not set".

        JavaScript clients send `extra_body` as a field of the request.
        """
        match value:
            case {"extra_body": dict(extra), **rest}:
                value = {**rest, **extra}
        return drop_unset(value, NEUTRAL_VALUES) if isinstance(value, dict) else value

    @property
    def unknown_fields(self) -> dict[str, Any]:
        """Fields of the request that this model does not define."""
        return self.model_extra or {}
