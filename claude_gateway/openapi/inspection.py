"""What `web/inspection.py` takes and answers."""

from typing import Any, Literal

from claude_gateway.dialects.anthropic.wire import MessagesRequest
from claude_gateway.dialects.gemini.wire import GenerateContentRequest
from claude_gateway.dialects.openai_chat.wire import ChatRequest
from claude_gateway.dialects.openai_responses.wire import ResponsesRequest
from claude_gateway.openapi.chat import ANSWERED, MODEL
from claude_gateway.openapi.failures import Failure
from claude_gateway.openapi.operation import Answer, Answered, Body, Group, Operation, Parameter


class ToldRequest(Answered):
    """Whose request it was taken for, and by what that was told."""

    dialect: Literal["chat", "responses", "messages", "gemini"]
    endpoint: str
    told_by: Literal["query", "body", "header"]


class TreatedParameter(Answered):
    name: str
    reason: str


class TreatedParameters(Answered):
    honoured: list[TreatedParameter]
    emulated: list[TreatedParameter]
    ignored: list[TreatedParameter]
    refused: list[TreatedParameter]


class CompatibilityAnswer(ToldRequest):
    """`warnings` is what `x-gateway-warnings` would say, `error` what the request would be refused with."""

    compatible: bool
    parameters: TreatedParameters
    warnings: list[str]
    suggestions: list[str]
    error: Failure | None


class RequestSeen(Answered):
    request_id: str
    headers: dict[str, str]
    body_bytes: int


class DebugAnswer(ToldRequest):
    """Secrets are hidden, long texts cut."""

    request: RequestSeen
    valid: bool
    error: Failure | None
    parsed: Any
    job: Any
    warnings: list[str]
    not_done: list[str]


AnyRequest = ChatRequest | ResponsesRequest | MessagesRequest | GenerateContentRequest

_CHAT: dict[str, Any] = {
    "model": MODEL,
    "messages": [{"role": "user", "content": "test"}],
    "temperature": 0.7,
    "presence_penalty": 0.5,
}
_EXAMPLES: dict[str, Any] = {
    "chat": _CHAT,
    "message": {"model": MODEL, "max_tokens": 1024, "messages": [{"role": "user", "content": "test"}], "top_k": 5},
    "response": {"model": MODEL, "input": "test", "truncation": "auto"},
    "Gemini": {"contents": [{"parts": [{"text": "test"}]}], "generationConfig": {"seed": 7}},
}
_TOLD = {"dialect": "chat", "endpoint": "POST /v1/chat/completions", "told_by": "body"}
_REPORT = {
    **_TOLD,
    "compatible": True,
    "parameters": {
        "honoured": [
            {"name": "model", "reason": "any `claude-*`"},
            {"name": "messages", "reason": "texts, images, PDFs, calls and results"},
            {"name": "temperature", "reason": "above 1 it becomes 1; where the model takes none it is left out"},
        ],
        "emulated": [],
        "ignored": [{"name": "presence_penalty", "reason": "Claude has no such parameter"}],
        "refused": [],
    },
    "warnings": ["presence_penalty: Claude has no such parameter"],
    "suggestions": ["presence_penalty: ask for varied wording in the system prompt."],
    "error": None,
}
_SEEN = {
    **_TOLD,
    "request": {
        "request_id": "abc123",
        "headers": {"content-type": "application/json", "authorization": "[hidden]"},
        "body_bytes": 128,
    },
    "valid": True,
    "error": None,
    "parsed": _CHAT,
    "job": {"is": "ChatJob", "model": ANSWERED, "turns": [{"is": "Turn", "role": "user", "blocks": []}]},
    "warnings": ["presence_penalty: Claude has no such parameter"],
    "not_done": ["nothing was fetched by URL"],
}
_PARAMETERS = (
    Parameter(
        "dialect",
        "Whose request it is; told by the body without it.",
        "query",
        {"type": "string", "enum": ["chat", "responses", "messages", "gemini"]},
    ),
    Parameter("model", "For Gemini, whose model is in the path.", "query"),
)

OPERATIONS = (
    Operation(
        "post",
        "/v1/compatibility",
        Group.CHAT,
        "What becomes of each parameter of a request",
        {200: Answer("Honoured, emulated, ignored or refused, with the reason.", CompatibilityAnswer, _REPORT)},
        description="Nobody is asked. What makes no sense is told in `error`.",
        body=Body(AnyRequest, _EXAMPLES),
        parameters=_PARAMETERS,
    ),
    Operation(
        "post",
        "/v1/debug/request",
        Group.CHAT,
        "How a request is read, and the job that it becomes",
        {200: Answer("What was read.", DebugAnswer, _SEEN)},
        description="Nobody is asked, and nothing is kept.",
        body=Body(AnyRequest, _EXAMPLES),
        parameters=_PARAMETERS,
    ),
)
