"""`POST /v1/chat/completions` as it is sent. Unknown fields are kept, so that they can be named in a warning."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from claude_gateway.dialects.openai_chat.parameters import NEUTRAL, OPTIONS_NEUTRAL
from claude_gateway.prompt.numbers import Count, Number, Probability, Range
from claude_gateway.prompt.output_config import OutputConfig, OutputFormat
from claude_gateway.prompt.parameters import drop_unset
from claude_gateway.prompt.thinking import EffortWord, Reasoning, ThinkingParameter
from workers.job import Effort

# Ten megabytes hold millions of empty ones, each an object with its own errors: one is told, and the rest unread.
_MOST_MESSAGES = 10_000
_MOST_PARTS = 10_000
_MOST_TOOLS = 10_000
_MOST_STOPS = 1_000

Role = Literal["system", "developer", "user", "assistant", "tool", "function"]


class Wire(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)


class Part(Wire):
    """A piece of a message's content; which fields it has depends on `type`, and `parts` knows which it can read."""

    type: str


class FunctionCall(Wire):
    name: str
    # A string, and in it a JSON object: of other models' calls, and of those that were cut off, anything else.
    arguments: Any = ""


class CustomCall(Wire):
    name: str
    input: Any = ""


class ToolCall(Wire):
    """Of a function, or of a custom tool. Some programs give it no id."""

    id: str = ""
    function: FunctionCall | None = None
    custom: CustomCall | None = None

    @field_validator("id", mode="before")
    @classmethod
    def _without_null(cls, value: Any) -> Any:
        return "" if value is None else value

    @model_validator(mode="after")
    def _calls_something(self) -> "ToolCall":
        if self.function is None and self.custom is None:
            raise ValueError("a tool call must name its function")
        return self


class Message(Wire):
    role: Role
    content: str | Annotated[list[Part], Field(fail_fast=True, max_length=_MOST_PARTS)] | None = None
    tool_calls: Annotated[list[ToolCall], Field(fail_fast=True, max_length=_MOST_PARTS)] | None = None
    tool_call_id: str | None = None
    # Of the function that a message of role `function`, or of role `tool` without an id, answers.
    name: Any = None
    function_call: FunctionCall | None = None
    refusal: str | None = None


class StreamOptions(Wire):
    include_usage: bool | None = None


class AnthropicOptions(Wire):
    """Parameters of the Messages API; those that a chat cannot take over are kept, to be named in a warning."""

    system: Any = None
    max_tokens: Count | None = None
    temperature: Annotated[Number, Range(0, 1)] | None = None
    top_p: Probability | None = None
    top_k: Count | None = None
    stop_sequences: Annotated[list[str], Field(fail_fast=True, max_length=_MOST_STOPS)] | None = None
    tool_choice: str | dict[str, Any] | None = None
    thinking: ThinkingParameter | None = None
    output_config: OutputConfig | None = None
    output_format: OutputFormat | None = None
    # Not of the Messages API: another name of `output_config.effort`, and what some gateways call `cache_control`.
    effort: Effort | None = None
    prompt_caching: bool | None = None

    @model_validator(mode="before")
    @classmethod
    def _drop_unset_fields(cls, value: Any) -> Any:
        return drop_unset(value, OPTIONS_NEUTRAL) if isinstance(value, dict) else value


class JsonSchema(Wire):
    description: str | None = None
    # `schema` is a method of every pydantic model.
    schema_: dict[str, Any] | None = Field(None, alias="schema")


class ResponseFormat(Wire):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class ChatRequest(Wire):
    model: str = Field(min_length=1)
    messages: Annotated[list[Message], Field(fail_fast=True, min_length=1, max_length=_MOST_MESSAGES)]
    # Beside the messages, in a string or in blocks, as Cursor sends it.
    system: Any = None
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    temperature: Annotated[Number, Range(0, 2)] | None = None
    top_p: Probability | None = None
    top_k: Count | None = None
    stop: str | Annotated[list[str], Field(fail_fast=True, max_length=_MOST_STOPS)] | None = None
    reasoning_effort: EffortWord | None = None
    # Anthropic's own for its OpenAI-compatible endpoint, and OpenRouter's.
    thinking: ThinkingParameter | None = None
    reasoning: Reasoning | None = None
    anthropic_options: AnthropicOptions | None = None
    tools: Annotated[list[Any], Field(max_length=_MOST_TOOLS)] | None = None
    tool_choice: str | dict[str, Any] | None = None
    web_search_options: dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    functions: Annotated[list[Any], Field(max_length=_MOST_TOOLS)] | None = None
    function_call: str | dict[str, Any] | None = None
    response_format: ResponseFormat | None = None
    n: Count | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    # Not the provider's: which conversation Claude is to remember.
    session_id: str | None = None
    # Nor these: whether Claude is to use its own tools, and tell of it among its thoughts.
    enable_tools: bool | None = None
    stream_tool_progress: bool | None = None

    @model_validator(mode="before")
    @classmethod
    def _drop_unset_fields(cls, value: Any) -> Any:
        """JavaScript callers send the Python library's `extra_body` as it is."""
        match value:
            case {"extra_body": dict(extra), **rest}:
                value = {**rest, **extra}
        return drop_unset(value, NEUTRAL) if isinstance(value, dict) else value

    @property
    def unknown(self) -> dict[str, Any]:
        """Fields that this model does not name."""
        return self.model_extra or {}
