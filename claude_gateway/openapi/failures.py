"""Errors as they are answered: an envelope for each dialect, and what each status means. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import Field

from claude_gateway.openapi.operation import Answer, Answered, Envelope, Maybe, Operation


class ErrorDetail(Answered):
    """One field at fault. What it held is never repeated."""

    field: str = Field(examples=["body -> messages"])
    message: str
    type: str


class ErrorHelp(Answered):
    common_issues: list[str]
    debug_tip: str


class ToAdd(Answered):
    """What the operator would add to his settings, to allow what was refused."""

    setting: str
    line: str


class Failure(Answered):
    message: str
    type: str
    code: str | None
    param: Maybe[str] = None
    retry_after: Maybe[int] = Field(None, description="Seconds to wait, as in the header `Retry-After`.")
    details: Maybe[list[ErrorDetail]] = None
    help: Maybe[ErrorHelp] = None
    add: Maybe[ToAdd] = None


class ErrorAnswer(Answered):
    error: Failure


class AnthropicFailure(Answered):
    type: str
    message: str
    details: Maybe[list[ErrorDetail]] = None
    help: Maybe[ErrorHelp] = None


class AnthropicErrorAnswer(Answered):
    type: Literal["error"]
    error: AnthropicFailure
    request_id: Maybe[str] = None


class GeminiFailure(Answered):
    code: int
    message: str
    status: str
    details: Maybe[list[dict[str, Any]]] = None


class GeminiErrorAnswer(Answered):
    error: GeminiFailure


AnyErrorAnswer = ErrorAnswer | AnthropicErrorAnswer | GeminiErrorAnswer

_SHAPES: Mapping[Envelope, Any] = {
    Envelope.ANY: AnyErrorAnswer,
    Envelope.OPENAI: ErrorAnswer,
    Envelope.ANTHROPIC: AnthropicErrorAnswer,
    Envelope.GEMINI: GeminiErrorAnswer,
}
_MEANINGS: Mapping[int, str] = {
    400: "A parameter that cannot be; the message names it.",
    401: "No key, or none that opens this gateway.",
    403: "The key may not do this.",
    404: "There is no such thing, for this key.",
    408: "The body took longer than `MAX_TIMEOUT` to come.",
    409: "It changed meanwhile; ask again.",
    413: "The request is larger than the gateway takes.",
    415: "The body is packed in a way that is not read here.",
    422: "The body does not have the expected shape; each field at fault is named.",
    426: "There is no WebSocket here; use POST.",
    429: "Too many requests; `Retry-After` says when to come back.",
    500: "A fault of the gateway.",
    502: "The upstream failed, or its answer broke off.",
    503: "It cannot be answered now, by reason of the login, of a draining gateway or of the upstream.",
    504: "It took longer than `MAX_TIMEOUT`.",
    507: "The disk of the gateway is full.",
    529: "The upstream is overloaded.",
}
_OF_A_KEY = (401, 403, 429, 500)
_OF_A_BODY = (400, 408, 413, 415, 422)
# What only a job can come to.
OF_A_JOB = (400, 403, 404, 409, 413, 429, 502, 503, 504, 507)


def failures(operation: Operation) -> Iterator[tuple[int, Answer]]:
    """The errors of an operation by status, in the words of its dialect."""
    statuses = set(operation.errors)
    statuses |= set(_OF_A_KEY) if operation.needs_key else set()
    statuses |= set(_OF_A_BODY) if operation.body is not None else set()
    if operation.envelope is not Envelope.OPENAI:
        statuses -= {422}  # the others' word for it is a 400
    if operation.envelope is Envelope.ANTHROPIC and 503 in statuses:
        statuses |= {529}
    shape = _SHAPES[operation.envelope]
    for status in sorted(statuses - operation.answers.keys()):
        yield status, Answer(_MEANINGS[status], shape)
