"""Descriptions of the operations in the format of the Gemini API of Google (`web/endpoints/gemini.py`)."""

from typing import Any, Literal

from claude_gateway.dialects.gemini.schema import CountTokensRequest, GenerateContentRequest
from claude_gateway.openapi.error_schemas import JOB_ERROR_STATUSES, GeminiErrorResponse
from claude_gateway.openapi.spec import (
    OperationSpec,
    OptionalField,
    Parameter,
    RequestBodySpec,
    ResponseModel,
    ResponseSpec,
    Tag,
)


class CandidateFunctionCall(ResponseModel):
    """A call with which the model calls a function that the client defined."""

    id: str
    name: str
    args: dict[str, Any]


class CandidatePart(ResponseModel):
    """A part of the reply. It contains text, thinking or a function call."""

    text: OptionalField[str] = None
    thought: OptionalField[bool] = None
    thoughtSignature: OptionalField[str] = None  # noqa: N815 - the names of Google's API, here and below
    functionCall: OptionalField[CandidateFunctionCall] = None  # noqa: N815


class CandidateContent(ResponseModel):
    """The parts of which the reply of the model consists."""

    parts: list[CandidatePart]
    role: Literal["model"]


class Candidate(ResponseModel):
    """A reply of the model. In a stream, only the last chunk contains `finishReason`."""

    content: CandidateContent
    finishReason: OptionalField[Literal["STOP", "MAX_TOKENS", "SAFETY", "MALFORMED_FUNCTION_CALL", "OTHER"]] = None  # noqa: N815
    index: int


class UsageMetadata(ResponseModel):
    """The numbers of tokens that a reply used."""

    promptTokenCount: int  # noqa: N815
    candidatesTokenCount: int  # noqa: N815
    totalTokenCount: int  # noqa: N815
    cachedContentTokenCount: OptionalField[int] = None  # noqa: N815
    thoughtsTokenCount: OptionalField[int] = None  # noqa: N815


class GenerateContentResponse(ResponseModel):
    """A whole reply of the model, or one chunk of a streamed reply.

    A chunk that only keeps the connection open contains a candidate without content.
    """

    candidates: list[Candidate]
    usageMetadata: OptionalField[UsageMetadata] = None  # noqa: N815
    modelVersion: OptionalField[str] = None  # noqa: N815
    responseId: OptionalField[str] = None  # noqa: N815


GeminiStreamEvent = GenerateContentResponse | GeminiErrorResponse
GeminiStreamArray = list[GeminiStreamEvent]


class CountTokensResponse(ResponseModel):
    """The estimated number of input tokens that a request would use."""

    totalTokens: int  # noqa: N815


_CONTENTS: dict[str, Any] = {"contents": [{"role": "user", "parts": [{"text": "Hello!"}]}]}
_EXAMPLES: dict[str, Any] = {
    "contents": _CONTENTS,
    "configured": {
        **_CONTENTS,
        "systemInstruction": {"parts": [{"text": "Reply in one word."}]},
        "generationConfig": {"maxOutputTokens": 256, "stopSequences": ["END"]},
    },
    "functions": {
        **_CONTENTS,
        "tools": [
            {
                "functionDeclarations": [
                    {
                        "name": "get_weather",
                        "description": "The weather of a city.",
                        "parameters": {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}},
                    }
                ]
            }
        ],
    },
}
_IDENTITY = {"modelVersion": "gemini-2.5-pro", "responseId": "abc123"}
_RESPONSE = {
    "candidates": [{"content": {"parts": [{"text": "Hello!"}], "role": "model"}, "finishReason": "STOP", "index": 0}],
    "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 3, "totalTokenCount": 13},
    **_IDENTITY,
}
_STREAM = ({"candidates": [{"content": {"parts": [{"text": "Hello!"}], "role": "model"}, "index": 0}], **_IDENTITY},)
_MODEL = Parameter(
    "model", "The name of a Claude model, or of a model that the gateway maps to one.", example="gemini-2.5-pro"
)
_ALT = Parameter(
    "alt", "`sse`: server-sent events instead of a JSON array.", "query", {"type": "string", "enum": ["sse"]}
)

GENERATE_CONTENT = OperationSpec(
    Tag.CHAT,
    "Generate content (Gemini)",
    {200: ResponseSpec("The reply, as one candidate.", GenerateContentResponse, _RESPONSE)},
    body=RequestBodySpec(GenerateContentRequest, _EXAMPLES),
    parameters=(_MODEL,),
    error_statuses=JOB_ERROR_STATUSES,
    path="/v1beta/models/{model}:generateContent",
)
STREAM_GENERATE_CONTENT = OperationSpec(
    Tag.CHAT,
    "Stream generated content (Gemini)",
    {
        200: ResponseSpec(
            "The chunks in one JSON array; with `alt=sse`, as server-sent events.",
            GeminiStreamArray,
            [_RESPONSE],
            stream_model=GeminiStreamEvent,
            stream_example=_STREAM,
        )
    },
    body=RequestBodySpec(GenerateContentRequest, _EXAMPLES),
    parameters=(_MODEL, _ALT),
    error_statuses=JOB_ERROR_STATUSES,
    path="/v1beta/models/{model}:streamGenerateContent",
)
COUNT_TOKENS = OperationSpec(
    Tag.CHAT,
    "Estimate the tokens of a request (Gemini)",
    {
        200: ResponseSpec(
            "The estimate, which the gateway makes without a request to the upstream and without cost.",
            CountTokensResponse,
            {"totalTokens": 10},
        )
    },
    body=RequestBodySpec(
        CountTokensRequest,
        {"contents": _CONTENTS, "whole request": {"generateContentRequest": _EXAMPLES["configured"]}},
    ),
    parameters=(_MODEL,),
    error_statuses=(403, 404),
    path="/v1beta/models/{model}:countTokens",
)
