"""What `web/gemini.py` takes and answers: chats in Google's dialect."""

from typing import Any, Literal

from claude_gateway.dialects.gemini.wire import CountTokensRequest, GenerateContentRequest
from claude_gateway.openapi.failures import OF_A_JOB, GeminiErrorAnswer
from claude_gateway.openapi.operation import Answer, Answered, Body, Envelope, Group, Maybe, Operation, Parameter


class CandidateCall(Answered):
    id: str
    name: str
    args: dict[str, Any]


class CandidatePart(Answered):
    text: Maybe[str] = None
    thought: Maybe[bool] = None
    thoughtSignature: Maybe[str] = None  # noqa: N815 - Google's own names, here and below
    functionCall: Maybe[CandidateCall] = None  # noqa: N815


class CandidateContent(Answered):
    parts: list[CandidatePart]
    role: Literal["model"]


class Candidate(Answered):
    content: CandidateContent
    finishReason: Maybe[Literal["STOP", "MAX_TOKENS", "SAFETY", "MALFORMED_FUNCTION_CALL", "OTHER"]] = None  # noqa: N815
    index: int


class UsageMetadata(Answered):
    promptTokenCount: int  # noqa: N815
    candidatesTokenCount: int  # noqa: N815
    totalTokenCount: int  # noqa: N815
    cachedContentTokenCount: Maybe[int] = None  # noqa: N815
    thoughtsTokenCount: Maybe[int] = None  # noqa: N815


class GenerateContentAnswer(Answered):
    """Whole, or one chunk of a stream; what keeps a stream alive has no more than an empty candidate."""

    candidates: list[Candidate]
    usageMetadata: Maybe[UsageMetadata] = None  # noqa: N815
    modelVersion: Maybe[str] = None  # noqa: N815
    responseId: Maybe[str] = None  # noqa: N815


GeminiStreamEvent = GenerateContentAnswer | GeminiErrorAnswer
GeminiChunks = list[GeminiStreamEvent]


class CountTokensAnswer(Answered):
    totalTokens: int  # noqa: N815


_CONTENTS: dict[str, Any] = {"contents": [{"role": "user", "parts": [{"text": "Hello!"}]}]}
_EXAMPLES: dict[str, Any] = {
    "contents": _CONTENTS,
    "configured": {
        **_CONTENTS,
        "systemInstruction": {"parts": [{"text": "Answer in one word."}]},
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
_ANSWER = {
    "candidates": [{"content": {"parts": [{"text": "Hello!"}], "role": "model"}, "finishReason": "STOP", "index": 0}],
    "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 3, "totalTokenCount": 13},
    **_IDENTITY,
}
_STREAM = ({"candidates": [{"content": {"parts": [{"text": "Hello!"}], "role": "model"}, "index": 0}], **_IDENTITY},)
_MODEL = Parameter("model", "Any name that means a model here.", example="gemini-2.5-pro")
_ALT = Parameter("alt", "`sse`: events, and no array.", "query", {"type": "string", "enum": ["sse"]})

OPERATIONS = (
    Operation(
        "post",
        "/v1beta/models/{model}:generateContent",
        Group.CHAT,
        "Gemini",
        {200: Answer("A candidate.", GenerateContentAnswer, _ANSWER)},
        body=Body(GenerateContentRequest, _EXAMPLES),
        parameters=(_MODEL,),
        errors=OF_A_JOB,
        envelope=Envelope.GEMINI,
    ),
    Operation(
        "post",
        "/v1beta/models/{model}:streamGenerateContent",
        Group.CHAT,
        "Gemini, streamed",
        {
            200: Answer(
                "The chunks as they come, in one JSON array; with `alt=sse` as events.",
                GeminiChunks,
                [_ANSWER],
                stream=GeminiStreamEvent,
                stream_example=_STREAM,
            )
        },
        body=Body(GenerateContentRequest, _EXAMPLES),
        parameters=(_MODEL, _ALT),
        errors=OF_A_JOB,
        envelope=Envelope.GEMINI,
    ),
    Operation(
        "post",
        "/v1beta/models/{model}:countTokens",
        Group.CHAT,
        "How many tokens contents are, estimated",
        {200: Answer("The estimate; no upstream request, no bill.", CountTokensAnswer, {"totalTokens": 10})},
        body=Body(
            CountTokensRequest,
            {"contents": _CONTENTS, "a whole request": {"generateContentRequest": _EXAMPLES["configured"]}},
        ),
        parameters=(_MODEL,),
        errors=(403, 404),
        envelope=Envelope.GEMINI,
    ),
)
