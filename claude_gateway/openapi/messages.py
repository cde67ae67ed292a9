"""What `web/messages.py` takes and answers: chats in Anthropic's dialect."""

from typing import Annotated, Any, Literal

from pydantic import Field

from claude_gateway.dialects.anthropic.wire import MessagesRequest
from claude_gateway.openapi.chat import ANSWERED, MODEL
from claude_gateway.openapi.failures import OF_A_JOB, AnthropicErrorAnswer
from claude_gateway.openapi.operation import Answer, Answered, Body, Envelope, Group, Maybe, Operation, Parameter


class TextBlock(Answered):
    type: Literal["text"]
    text: str


class ThinkingBlock(Answered):
    type: Literal["thinking"]
    thinking: str
    signature: str


class RedactedThinkingBlock(Answered):
    type: Literal["redacted_thinking"]
    data: str


class ToolUseBlock(Answered):
    type: Literal["tool_use"]
    id: str
    name: str
    input: dict[str, Any]


class ServerToolUseBlock(Answered):
    """A call of one of Claude's own tools, for who asked to read of it, under the provider's name for what it does."""

    type: Literal["server_tool_use"]
    id: str
    name: Literal["bash_code_execution", "text_editor_code_execution", "code_execution", "web_search"]
    input: dict[str, Any]


class McpToolUseBlock(Answered):
    type: Literal["mcp_tool_use"]
    id: str
    name: str
    server_name: str
    input: dict[str, Any]


class OwnToolResultBlock(Answered):
    """What one of Claude's own tools told it, in the provider's form for its kind."""

    type: Literal[
        "bash_code_execution_tool_result",
        "text_editor_code_execution_tool_result",
        "code_execution_tool_result",
        "web_search_tool_result",
    ]
    tool_use_id: str
    content: dict[str, Any] | list[dict[str, Any]]


class McpToolResultBlock(Answered):
    type: Literal["mcp_tool_result"]
    tool_use_id: str
    is_error: bool
    content: list[TextBlock]


AnswerBlock = Annotated[
    TextBlock
    | ThinkingBlock
    | RedactedThinkingBlock
    | ToolUseBlock
    | ServerToolUseBlock
    | OwnToolResultBlock
    | McpToolUseBlock
    | McpToolResultBlock,
    Field(discriminator="type"),
]


class ServerToolUsage(Answered):
    web_search_requests: int
    web_fetch_requests: int


class OutputTokens(Answered):
    thinking_tokens: int


class MessagesUsage(Answered):
    input_tokens: int
    cache_creation_input_tokens: int
    cache_read_input_tokens: int
    output_tokens: int
    output_tokens_details: Maybe[OutputTokens] = None
    server_tool_use: Maybe[ServerToolUsage] = None


class MessageObject(Answered):
    """`stop_reason` is null at the start of a stream."""

    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    model: str
    content: list[AnswerBlock]
    usage: MessagesUsage
    stop_reason: str | None
    stop_sequence: str | None


class MessageStart(Answered):
    type: Literal["message_start"]
    message: MessageObject


class Ping(Answered):
    type: Literal["ping"]


class ContentBlockStart(Answered):
    type: Literal["content_block_start"]
    index: int
    content_block: AnswerBlock


class TextPiece(Answered):
    type: Literal["text_delta"]
    text: str


class ThinkingPiece(Answered):
    type: Literal["thinking_delta"]
    thinking: str


class SignaturePiece(Answered):
    type: Literal["signature_delta"]
    signature: str


class InputPiece(Answered):
    type: Literal["input_json_delta"]
    partial_json: str


class ContentBlockDelta(Answered):
    type: Literal["content_block_delta"]
    index: int
    delta: Annotated[TextPiece | ThinkingPiece | SignaturePiece | InputPiece, Field(discriminator="type")]


class ContentBlockStop(Answered):
    type: Literal["content_block_stop"]
    index: int


class MessageEnd(Answered):
    stop_reason: str
    stop_sequence: str | None


class MessageDelta(Answered):
    type: Literal["message_delta"]
    delta: MessageEnd
    usage: MessagesUsage


class MessageStop(Answered):
    type: Literal["message_stop"]


MessagesStreamEvent = Annotated[
    MessageStart
    | Ping
    | ContentBlockStart
    | ContentBlockDelta
    | ContentBlockStop
    | MessageDelta
    | MessageStop
    | AnthropicErrorAnswer,
    Field(discriminator="type"),
]


class TokenCount(Answered):
    input_tokens: int


_MESSAGES: dict[str, Any] = {
    "model": MODEL,
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
    "model": ANSWERED,
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

OPERATIONS = (
    Operation(
        "post",
        "/v1/messages",
        Group.CHAT,
        "Anthropic Messages",
        {
            200: Answer(
                "A message; with `stream` its events, as they come.",
                MessageObject,
                _MESSAGE,
                stream=MessagesStreamEvent,
                stream_example=_STREAM,
            )
        },
        body=Body(
            MessagesRequest,
            {
                "message": _MESSAGES,
                "stream": {**_MESSAGES, "stream": True},
                "thinking": {**_MESSAGES, "max_tokens": 4096, "thinking": {"type": "enabled", "budget_tokens": 2048}},
                "tools of the caller": {**_MESSAGES, "tools": [_WEATHER]},
            },
        ),
        parameters=(_VERSION,),
        errors=OF_A_JOB,
        envelope=Envelope.ANTHROPIC,
    ),
    Operation(
        "post",
        "/v1/messages/count_tokens",
        Group.CHAT,
        "How many tokens a message is, estimated",
        {200: Answer("The estimate; no upstream request, no bill.", TokenCount, {"input_tokens": 10})},
        body=Body(MessagesRequest, {"message": _MESSAGES}),
        parameters=(_VERSION,),
        errors=(403, 404),
        envelope=Envelope.ANTHROPIC,
    ),
)
