"""Description of the operation in the format of OpenAI Chat Completions (`web/endpoints/chat.py`)."""

from typing import Any, Literal

from claude_gateway.dialects.openai_chat.schema import ChatRequest
from claude_gateway.openapi.error_schemas import JOB_ERROR_STATUSES, OpenAIErrorResponse
from claude_gateway.openapi.spec import OperationSpec, OptionalField, RequestBodySpec, ResponseModel, ResponseSpec, Tag

FinishReason = Literal["stop", "length", "tool_calls", "function_call", "content_filter"]


class CompletionFunction(ResponseModel):
    """The name of a called function, and the arguments of the call as a JSON text."""

    name: str
    arguments: str


class CompletionToolCall(ResponseModel):
    """A tool call with which the model calls a function that the client defined."""

    id: str
    type: Literal["function"]
    function: CompletionFunction


class CompletionCustomTool(ResponseModel):
    """The name of a called custom tool, and the input of the call, which is text in any format."""

    name: str
    input: str


class CompletionCustomToolCall(ResponseModel):
    """A tool call with which the model calls a custom tool that the client defined in OpenAI's format."""

    id: str
    type: Literal["custom"]
    custom: CompletionCustomTool


class CompletionMessage(ResponseModel):
    """The message with which the model replies."""

    role: Literal["assistant"]
    content: str | None
    refusal: None
    reasoning_content: OptionalField[str] = None
    tool_calls: OptionalField[list[CompletionToolCall | CompletionCustomToolCall]] = None
    function_call: OptionalField[CompletionFunction] = None


class CompletionChoice(ResponseModel):
    """A reply of the model, and the reason why the reply ended."""

    index: int
    message: CompletionMessage
    logprobs: None
    finish_reason: FinishReason


class PromptTokensDetails(ResponseModel):
    """The number of input tokens that the upstream read from the prompt cache."""

    cached_tokens: int


class CompletionTokensDetails(ResponseModel):
    """The number of output tokens that the model used for reasoning."""

    reasoning_tokens: int


class CompletionUsage(ResponseModel):
    """The numbers of tokens that a chat completion used."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails
    completion_tokens_details: OptionalField[CompletionTokensDetails] = None


class ChatCompletion(ResponseModel):
    """A chat completion, which contains the reply of the model and the numbers of used tokens."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: CompletionUsage


class FunctionCallDelta(ResponseModel):
    """The next fragment of the JSON text that contains the arguments of a function call."""

    name: OptionalField[str] = None
    arguments: str


class CustomToolCallDelta(ResponseModel):
    """The next fragment of the text that is the input of a custom tool call."""

    name: OptionalField[str] = None
    input: str


class ToolCallDelta(ResponseModel):
    """The next fragment of a tool call. It is in `custom` if the tool is a custom tool, and else in `function`."""

    index: int
    id: OptionalField[str] = None
    type: OptionalField[Literal["function", "custom"]] = None
    function: OptionalField[FunctionCallDelta] = None
    custom: OptionalField[CustomToolCallDelta] = None


class ChunkDelta(ResponseModel):
    """The part of the reply that a chunk adds to the earlier chunks."""

    role: OptionalField[Literal["assistant"]] = None
    content: OptionalField[str] = None
    reasoning_content: OptionalField[str] = None
    tool_calls: OptionalField[list[ToolCallDelta]] = None
    function_call: OptionalField[FunctionCallDelta] = None


class ChunkChoice(ResponseModel):
    """The new part of the reply in a chunk. `finish_reason` is null until the reply ends."""

    index: int
    delta: ChunkDelta
    logprobs: None
    finish_reason: FinishReason | None


class ChatCompletionChunk(ResponseModel):
    """One chunk of a streamed chat completion. After the last chunk the gateway sends `[DONE]`."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: CompletionUsage | None = None


ChatStreamEvent = ChatCompletionChunk | OpenAIErrorResponse

EXAMPLE_MODEL = "sonnet"
# The name of the model in the response to a request whose model is `EXAMPLE_MODEL`.
EXAMPLE_RESPONSE_MODEL = "claude-sonnet-5-5"
_CHAT: dict[str, Any] = {"model": EXAMPLE_MODEL, "messages": [{"role": "user", "content": "Hello!"}]}
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
    "client tools": {**_CHAT, "tools": [{"type": "function", "function": _WEATHER}]},
    "built-in tools": {**_CHAT, "enable_tools": True},
    "JSON": {
        "model": EXAMPLE_MODEL,
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
    "model": EXAMPLE_RESPONSE_MODEL,
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
            "model": EXAMPLE_RESPONSE_MODEL,
            "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}],
        }
        for delta, reason in (({"role": "assistant", "content": ""}, None), ({"content": "Hello!"}, None), ({}, "stop"))
    ),
    "[DONE]",
)

CREATE_CHAT_COMPLETION = OperationSpec(
    Tag.CHAT,
    "Create a chat completion (OpenAI Chat Completions)",
    {
        200: ResponseSpec(
            "The completion; with `stream`, its chunks as server-sent events.",
            ChatCompletion,
            _COMPLETION,
            stream_model=ChatStreamEvent,
            stream_example=_STREAM,
        )
    },
    description="The gateway replies with a completion also if an editor sends a body of OpenAI Responses.",
    body=RequestBodySpec(ChatRequest, _EXAMPLES),
    error_statuses=JOB_ERROR_STATUSES,
)
