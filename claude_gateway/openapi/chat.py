"""What `web/chat.py` takes and answers: chats in OpenAI's dialect."""

from typing import Any, Literal

from claude_gateway.dialects.openai_chat.wire import ChatRequest
from claude_gateway.openapi.failures import OF_A_JOB, ErrorAnswer
from claude_gateway.openapi.operation import Answer, Answered, Body, Group, Maybe, Operation

FinishReason = Literal["stop", "length", "tool_calls", "function_call", "content_filter"]


class CalledFunction(Answered):
    name: str
    arguments: str


class CompletionToolCall(Answered):
    id: str
    type: Literal["function"]
    function: CalledFunction


class CalledCustom(Answered):
    name: str
    input: str


class CompletionCustomCall(Answered):
    """Of a custom tool that was given in OpenAI's own form."""

    id: str
    type: Literal["custom"]
    custom: CalledCustom


class CompletionMessage(Answered):
    role: Literal["assistant"]
    content: str | None
    refusal: None
    reasoning_content: Maybe[str] = None
    tool_calls: Maybe[list[CompletionToolCall | CompletionCustomCall]] = None
    function_call: Maybe[CalledFunction] = None


class CompletionChoice(Answered):
    index: int
    message: CompletionMessage
    logprobs: None
    finish_reason: FinishReason


class CachedTokens(Answered):
    cached_tokens: int


class CompletionTokens(Answered):
    reasoning_tokens: int


class CompletionUsage(Answered):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: CachedTokens
    completion_tokens_details: Maybe[CompletionTokens] = None


class ChatCompletion(Answered):
    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: CompletionUsage


class FunctionFragment(Answered):
    name: Maybe[str] = None
    arguments: str


class CustomFragment(Answered):
    name: Maybe[str] = None
    input: str


class ToolCallFragment(Answered):
    """With `function`, or for a custom tool with `custom`."""

    index: int
    id: Maybe[str] = None
    type: Maybe[Literal["function", "custom"]] = None
    function: Maybe[FunctionFragment] = None
    custom: Maybe[CustomFragment] = None


class ChunkDelta(Answered):
    role: Maybe[Literal["assistant"]] = None
    content: Maybe[str] = None
    reasoning_content: Maybe[str] = None
    tool_calls: Maybe[list[ToolCallFragment]] = None
    function_call: Maybe[FunctionFragment] = None


class ChunkChoice(Answered):
    index: int
    delta: ChunkDelta
    logprobs: None
    finish_reason: FinishReason | None


class ChatCompletionChunk(Answered):
    """The data of each event of a stream; behind the last one comes `[DONE]`."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: CompletionUsage | None = None


ChatStreamEvent = ChatCompletionChunk | ErrorAnswer

MODEL = "sonnet"
# The model that the word means today, which an answer names.
ANSWERED = "claude-sonnet-5-5"
_CHAT: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": "Hello!"}]}
_WEATHER = {
    "name": "get_weather",
    "description": "The weather of a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
_PERSON = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
_EXAMPLES: dict[str, Any] = {
    "chat": _CHAT,
    "stream": {**_CHAT, "stream": True, "stream_options": {"include_usage": True}},
    "session": {**_CHAT, "session_id": "project-123"},
    "tools of the caller": {**_CHAT, "tools": [{"type": "function", "function": _WEATHER}]},
    "tools of Claude": {**_CHAT, "enable_tools": True},
    "JSON": {
        "model": MODEL,
        "messages": [{"role": "user", "content": '{"name": "Ann"}'}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "person", "schema": _PERSON}},
    },
}
_USAGE = {
    "prompt_tokens": 10,
    "completion_tokens": 3,
    "total_tokens": 13,
    "prompt_tokens_details": {"cached_tokens": 0},
}
_COMPLETION = {
    "id": "chatcmpl-abc123",
    "object": "chat.completion",
    "created": 1_768_471_800,
    "model": ANSWERED,
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hello!", "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": _USAGE,
}
_STREAM = (
    *(
        {
            "id": "chatcmpl-abc123",
            "object": "chat.completion.chunk",
            "created": 1_768_471_800,
            "model": ANSWERED,
            "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}],
        }
        for delta, reason in (({"role": "assistant", "content": ""}, None), ({"content": "Hello!"}, None), ({}, "stop"))
    ),
    "[DONE]",
)

OPERATIONS = (
    Operation(
        "post",
        "/v1/chat/completions",
        Group.CHAT,
        "OpenAI Chat Completions",
        {
            200: Answer(
                "A completion; with `stream` its chunks, as they come.",
                ChatCompletion,
                _COMPLETION,
                stream=ChatStreamEvent,
                stream_example=_STREAM,
            )
        },
        description="A Responses body sent here, as some editors do, is answered as a chat.",
        body=Body(ChatRequest, _EXAMPLES),
        errors=OF_A_JOB,
    ),
)
