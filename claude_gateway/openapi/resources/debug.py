"""Descriptions of the operations that show how the gateway would process a request (`web/endpoints/debug.py`)."""

from typing import Any, Literal

from claude_gateway.dialects.anthropic.schema import MessagesRequest
from claude_gateway.dialects.gemini.schema import GenerateContentRequest
from claude_gateway.dialects.openai_chat.schema import ChatRequest
from claude_gateway.dialects.openai_responses.schema import ResponsesRequest
from claude_gateway.openapi.error_schemas import OpenAIErrorObject
from claude_gateway.openapi.resources.chat import EXAMPLE_MODEL, EXAMPLE_RESPONSE_MODEL
from claude_gateway.openapi.spec import OperationSpec, Parameter, RequestBodySpec, ResponseModel, ResponseSpec, Tag


class DetectedRequest(ResponseModel):
    """The dialect of a request, and the part of the request from which the gateway detected the dialect."""

    dialect: Literal["chat", "responses", "messages", "gemini"]
    endpoint: str
    detected_by: Literal["query", "body", "header"]


class ParameterSupportInfo(ResponseModel):
    """A parameter of a request. `reason` says why the gateway ignores or rejects it, or which values it accepts."""

    name: str
    reason: str


class ParametersBySupport(ResponseModel):
    """The parameters of a request in four lists, one for each way in which the gateway can treat a parameter."""

    supported: list[ParameterSupportInfo]
    emulated: list[ParameterSupportInfo]
    ignored: list[ParameterSupportInfo]
    rejected: list[ParameterSupportInfo]


class CompatibilityResponse(DetectedRequest):
    """A report that says for each parameter of a request whether the gateway supports the parameter.

    `warnings` are the warnings that the gateway would send in the header `x-gateway-warnings`. `error` is null if the
    gateway would accept the request.
    """

    compatible: bool
    parameters: ParametersBySupport
    warnings: list[str]
    suggestions: list[str]
    error: OpenAIErrorObject | None


class ReceivedRequestInfo(ResponseModel):
    """The id, the headers and the body size of the received request. The gateway redacts secrets in the headers."""

    request_id: str
    headers: dict[str, str]
    body_bytes: int


class DebugResponse(DetectedRequest):
    """A report with the parsed request and the job that the gateway would run for the request.

    The gateway redacts secrets and truncates long texts in the report.
    """

    request: ReceivedRequestInfo
    valid: bool
    error: OpenAIErrorObject | None
    parsed: Any
    job: Any
    warnings: list[str]
    skipped_steps: list[str]


AnyRequest = ChatRequest | ResponsesRequest | MessagesRequest | GenerateContentRequest

_CHAT: dict[str, Any] = {
    "model": EXAMPLE_MODEL,
    "messages": [{"role": "user", "content": "test"}],
    "temperature": 0.7,
    "presence_penalty": 0.5,
}
_EXAMPLES: dict[str, Any] = {
    "chat": _CHAT,
    "message": {
        "model": EXAMPLE_MODEL,
        "max_tokens": 1024,
        "messages": [{"role": "user", "content": "test"}],
        "top_k": 5,
    },
    "response": {"model": EXAMPLE_MODEL, "input": "test", "truncation": "auto"},
    "Gemini": {"contents": [{"parts": [{"text": "test"}]}], "generationConfig": {"seed": 7}},
}
_DETECTED = {"dialect": "chat", "endpoint": "POST /v1/chat/completions", "detected_by": "body"}
_COMPATIBILITY = {
    **_DETECTED,
    "compatible": True,
    "parameters": {
        "supported": [
            {"name": "model", "reason": "any `claude-*`"},
            {"name": "messages", "reason": "texts, images, PDFs, tool calls and results"},
            {"name": "temperature", "reason": "if the model accepts it; values above 1 become 1"},
        ],
        "emulated": [],
        "ignored": [{"name": "presence_penalty", "reason": "Claude has no such parameter"}],
        "rejected": [],
    },
    "warnings": ["presence_penalty: ignored (Claude has no such parameter)"],
    "suggestions": ["presence_penalty: ask for varied wording in the system prompt."],
    "error": None,
}
_DEBUG = {
    **_DETECTED,
    "request": {
        "request_id": "abc123",
        "headers": {"content-type": "application/json", "authorization": "[redacted]"},
        "body_bytes": 128,
    },
    "valid": True,
    "error": None,
    "parsed": _CHAT,
    "job": {
        "class": "ChatJob",
        "model": EXAMPLE_RESPONSE_MODEL,
        "turns": [{"class": "Turn", "role": "user", "blocks": []}],
    },
    "warnings": ["presence_penalty: ignored (Claude has no such parameter)"],
    "skipped_steps": ["The gateway fetched no media by URL."],
}
_PARAMETERS = (
    Parameter(
        "dialect",
        "The dialect of the request; by default the gateway detects it.",
        "query",
        {"type": "string", "enum": ["chat", "responses", "messages", "gemini"]},
    ),
    Parameter("model", "The model of a Gemini request, whose body does not name it.", "query"),
)

CHECK_COMPATIBILITY = OperationSpec(
    Tag.CHAT,
    "Report the support of each parameter of a request",
    {
        200: ResponseSpec(
            "The parameters by support: supported, emulated, ignored or rejected, each with a reason.",
            CompatibilityResponse,
            _COMPATIBILITY,
        )
    },
    description="The gateway runs no job. If it would reject the request, `error` is the error that it would send.",
    body=RequestBodySpec(AnyRequest, _EXAMPLES),
    parameters=_PARAMETERS,
)
DEBUG_REQUEST = OperationSpec(
    Tag.CHAT,
    "Show how the gateway parses a request",
    {200: ResponseSpec("The parsed request, and the job that it becomes.", DebugResponse, _DEBUG)},
    description="The gateway runs no job and stores nothing.",
    body=RequestBodySpec(AnyRequest, _EXAMPLES),
    parameters=_PARAMETERS,
)
