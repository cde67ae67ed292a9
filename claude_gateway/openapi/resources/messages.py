"""Descriptions of the operations in the format of Anthropic Messages (`web/endpoints/messages.py`)."""

from typing import Annotated, Any, Literal

from pydantic import Field

from claude_gateway.dialects.anthropic.schema import MessagesRequest
from claude_gateway.openapi.error_schemas import JOB_ERROR_STATUSES, AnthropicErrorResponse
from claude_gateway.openapi.resources.chat import EXAMPLE_MODEL, EXAMPLE_RESPONSE_MODEL
from claude_gateway.openapi.spec import (
    OperationSpec,
    OptionalField,
    Parameter,
    RequestBodySpec,
    ResponseModel,
    ResponseSpec,
    Tag,
)


class TextBlockObject(ResponseModel):
    """A content block that contains text."""

    type: Literal["text"]
    text: str


class ThinkingBlockObject(ResponseModel):
    """A content block that contains the thinking of the model, with a signature that proves its origin."""

    type: Literal["thinking"]
    thinking: str
    signature: str


class RedactedThinkingBlockObject(ResponseModel):
    """A content block that contains the thinking of the model in encrypted form."""

    type: Literal["redacted_thinking"]
    data: str


class ToolUseBlockObject(ResponseModel):
    """A content block with which the model calls a tool that the client defined."""

    type: Literal["tool_use"]
    id: str
    name: str
    input: dict[str, Any]


class ServerToolUseBlockObject(ResponseModel):
    """A content block with which the model called a built-in tool of Claude Code.

    The gateway sends such blocks only if the client requests them. `name` is the name that Anthropic's API uses for a
    tool with the same purpose.
    """

    type: Literal["server_tool_use"]
    id: str
    name: Literal["bash_code_execution", "text_editor_code_execution", "code_execution", "web_search"]
    input: dict[str, Any]


class McpToolUseBlockObject(ResponseModel):
    """A content block with which the model called a tool of an MCP server."""

    type: Literal["mcp_tool_use"]
    id: str
    name: str
    server_name: str
    input: dict[str, Any]


class BuiltinToolResultBlockObject(ResponseModel):
    """A content block with the result of a call of a built-in tool of Claude Code.

    The result has the format that Anthropic's API uses for a tool with the same purpose.
    """

    type: Literal[
        "bash_code_execution_tool_result",
        "text_editor_code_execution_tool_result",
        "code_execution_tool_result",
        "web_search_tool_result",
    ]
    tool_use_id: str
    content: dict[str, Any] | list[dict[str, Any]]


class McpToolResultBlockObject(ResponseModel):
    """A content block with the result of a call of a tool of an MCP server."""

    type: Literal["mcp_tool_result"]
    tool_use_id: str
    is_error: bool
    content: list[TextBlockObject]


ContentBlockObject = Annotated[
    TextBlockObject
    | ThinkingBlockObject
    | RedactedThinkingBlockObject
    | ToolUseBlockObject
    | ServerToolUseBlockObject
    | BuiltinToolResultBlockObject
    | McpToolUseBlockObject
    | McpToolResultBlockObject,
    Field(discriminator="type"),
]


class ServerToolUsage(ResponseModel):
    """The numbers of web searches and of web pages that the model requested."""

    web_search_requests: int
    web_fetch_requests: int


class MessagesOutputTokensDetails(ResponseModel):
    """The number of output tokens that the model used for thinking."""

    thinking_tokens: int


class MessagesUsage(ResponseModel):
    """The numbers of tokens that a message used."""

    input_tokens: int
    cache_creation_input_tokens: int
    cache_read_input_tokens: int
    output_tokens: int
    output_tokens_details: OptionalField[MessagesOutputTokensDetails] = None
    server_tool_use: OptionalField[ServerToolUsage] = None


class MessageObject(ResponseModel):
    """A message of the model. `stop_reason` is null in the first event of a stream."""

    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    model: str
    content: list[ContentBlockObject]
    usage: MessagesUsage
    stop_reason: str | None
    stop_sequence: str | None


class MessageStartEvent(ResponseModel):
    """The first event of a stream. It contains the message, still without content."""

    type: Literal["message_start"]
    message: MessageObject


class PingEvent(ResponseModel):
    """An event without content. The gateway sends it to keep the connection of a stream open."""

    type: Literal["ping"]


class ContentBlockStartEvent(ResponseModel):
    """The event at the start of a content block."""

    type: Literal["content_block_start"]
    index: int
    content_block: ContentBlockObject


class TextDeltaObject(ResponseModel):
    """The next fragment of the text in a text block."""

    type: Literal["text_delta"]
    text: str


class ThinkingDeltaObject(ResponseModel):
    """The next fragment of the thinking in a thinking block."""

    type: Literal["thinking_delta"]
    thinking: str


class SignatureDeltaObject(ResponseModel):
    """The signature of a thinking block. The gateway sends the signature before the end of the block."""

    type: Literal["signature_delta"]
    signature: str


class InputJsonDeltaObject(ResponseModel):
    """The next fragment of the JSON text that is the input of a tool call."""

    type: Literal["input_json_delta"]
    partial_json: str


class ContentBlockDeltaEvent(ResponseModel):
    """An event with the next fragment of a content block."""

    type: Literal["content_block_delta"]
    index: int
    delta: Annotated[
        TextDeltaObject | ThinkingDeltaObject | SignatureDeltaObject | InputJsonDeltaObject, Field(discriminator="type")
    ]


class ContentBlockStopEvent(ResponseModel):
    """The event at the end of a content block."""

    type: Literal["content_block_stop"]
    index: int


class MessageDeltaObject(ResponseModel):
    """An object that says why a message ended."""

    stop_reason: str
    stop_sequence: str | None


class MessageDeltaEvent(ResponseModel):
    """An event with the stop reason and the token usage of a message. It follows the last content block."""

    type: Literal["message_delta"]
    delta: MessageDeltaObject
    usage: MessagesUsage


class MessageStopEvent(ResponseModel):
    """The last event of a stream."""

    type: Literal["message_stop"]


MessagesStreamEvent = Annotated[
    MessageStartEvent
    | PingEvent
    | ContentBlockStartEvent
    | ContentBlockDeltaEvent
    | ContentBlockStopEvent
    | MessageDeltaEvent
    | MessageStopEvent
    | AnthropicErrorResponse,
    Field(discriminator="type"),
]


class TokenCountResponse(ResponseModel):
    """The estimated number of input tokens that a request would use."""

    input_tokens: int


_MESSAGES: dict[str, Any] = {
    "model": EXAMPLE_MODEL,
    "max_tokens": 1024,
    "messages": [{"role": "user", "content": "Hello!"}],
}
_WEATHER = {
    "name": "get_weather",
    "description": "The weather of a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
_USAGE = {
    "input_tokens": 10,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 0,
    "output_tokens": 3,
}
_MESSAGE = {
    "id": "msg_abc123",
    "type": "message",
    "role": "assistant",
    "model": EXAMPLE_RESPONSE_MODEL,
    "content": [{"type": "text", "text": "Hello!"}],
    "usage": _USAGE,
    "stop_reason": "end_turn",
    "stop_sequence": None,
}
_STREAM = (
    {"type": "message_start", "message": {**_MESSAGE, "content": [], "stop_reason": None}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello!"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": _USAGE},
    {"type": "message_stop"},
)
_VERSION = Parameter("anthropic-version", "Any date.", "header", example="2023-06-01")

CREATE_MESSAGE = OperationSpec(
    Tag.CHAT,
    "Create a message (Anthropic Messages)",
    {
        200: ResponseSpec(
            "The message; with `stream`, its events as server-sent events.",
            MessageObject,
            _MESSAGE,
            stream_model=MessagesStreamEvent,
            stream_example=_STREAM,
        )
    },
    body=RequestBodySpec(
        MessagesRequest,
        {
            "message": _MESSAGES,
            "stream": {**_MESSAGES, "stream": True},
            "thinking": {**_MESSAGES, "max_tokens": 4096, "thinking": {"type": "enabled", "budget_tokens": 2048}},
            "client tools": {**_MESSAGES, "tools": [_WEATHER]},
        },
    ),
    parameters=(_VERSION,),
    error_statuses=JOB_ERROR_STATUSES,
)
COUNT_TOKENS = OperationSpec(
    Tag.CHAT,
    "Estimate the tokens of a request (Anthropic Messages)",
    {
        200: ResponseSpec(
            "The estimate, which the gateway makes without a request to the upstream and without cost.",
            TokenCountResponse,
            {"input_tokens": 10},
        )
    },
    body=RequestBodySpec(MessagesRequest, {"message": _MESSAGES}),
    parameters=(_VERSION,),
    error_statuses=(403, 404),
)
