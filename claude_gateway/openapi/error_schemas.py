"""Schemas of the error responses in each dialect, and a description of each error status. Does no I/O."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import Field

from claude_gateway.dialects.common.dialect_name import DialectName
from claude_gateway.openapi.spec import Operation, OptionalField, ResponseModel, ResponseSpec


class ErrorDetail(ResponseModel):
    """One invalid field of the request body, with the reason. The response never repeats the value of the field."""

    field: str = Field(examples=["body -> messages"])
    message: str
    type: str


class ErrorHelp(ResponseModel):
    """A list of likely causes of a validation error, and a tip that helps the client to find the actual cause."""

    common_issues: list[str]
    debug_tip: str


class SuggestedSetting(ResponseModel):
    """A setting of the gateway that the operator can change so that the gateway accepts the rejected request.

    `setting` is the name of the setting. `line` is a line for the settings file of the gateway.
    """

    setting: str
    line: str


class OpenAIErrorObject(ResponseModel):
    """The code, the message and further details of an error, in the format of OpenAI's API."""

    message: str
    type: str
    code: str | None
    param: OptionalField[str] = None
    retry_after: OptionalField[int] = Field(None, description="Seconds to wait, as in the header `Retry-After`.")
    details: OptionalField[list[ErrorDetail]] = None
    help: OptionalField[ErrorHelp] = None
    add: OptionalField[SuggestedSetting] = None


class OpenAIErrorResponse(ResponseModel):
    """An error response in the format of OpenAI's API."""

    error: OpenAIErrorObject


class AnthropicErrorObject(ResponseModel):
    """The type, the message and further details of an error, in the format of Anthropic's API."""

    type: str
    message: str
    details: OptionalField[list[ErrorDetail]] = None
    help: OptionalField[ErrorHelp] = None


class AnthropicErrorResponse(ResponseModel):
    """An error response in the format of Anthropic's API."""

    type: Literal["error"]
    error: AnthropicErrorObject
    request_id: OptionalField[str] = None


class GeminiErrorObject(ResponseModel):
    """The code, the message and further details of an error, in the format of Google's Gemini API."""

    code: int
    message: str
    status: str
    details: OptionalField[list[dict[str, Any]]] = None


class GeminiErrorResponse(ResponseModel):
    """An error response in the format of Google's Gemini API."""

    error: GeminiErrorObject


AnyErrorResponse = OpenAIErrorResponse | AnthropicErrorResponse | GeminiErrorResponse

_ERROR_MODELS: Mapping[DialectName | None, Any] = {
    None: AnyErrorResponse,
    DialectName.OPENAI_CHAT: OpenAIErrorResponse,
    DialectName.OPENAI_RESPONSES: OpenAIErrorResponse,
    DialectName.ANTHROPIC: AnthropicErrorResponse,
    DialectName.GEMINI: GeminiErrorResponse,
}
# The dialects in which the gateway rejects a body that does not match its schema with status 422. In the other dialects
# the gateway rejects such a body with status 400.
_DIALECTS_WITH_422 = (DialectName.OPENAI_CHAT, DialectName.OPENAI_RESPONSES)
_STATUS_DESCRIPTIONS: Mapping[int, str] = {
    400: "A parameter is not valid; the message names it.",
    401: "The API key is missing or not valid.",
    403: "The API key has no permission for this request.",
    404: "The resource does not exist, or belongs to another key.",
    408: "The request body took longer than `MAX_TIMEOUT` to arrive.",
    409: "The state of the resource does not allow the request; the message says why.",
    413: "The request body is larger than the gateway accepts.",
    415: "The gateway does not support the content encoding of the request body.",
    422: "The request body does not match its schema; the error names each invalid field.",
    426: "The gateway does not support WebSocket on this path; use POST.",
    429: "Too many requests; the header `Retry-After` says when to send the next one.",
    500: "An internal error of the gateway.",
    502: "The upstream failed, or its response was interrupted.",
    503: "The gateway cannot process the request now: Claude Code is not logged in, the gateway is shutting down, or "
    "something that the request requires is unavailable.",
    504: "The request took longer than `MAX_TIMEOUT`.",
    507: "The disk of the gateway is full.",
    529: "The upstream is overloaded.",
}
_KEY_ERROR_STATUSES = (401, 403, 429, 500)
_BODY_ERROR_STATUSES = (400, 408, 413, 415, 422)
# The error statuses of operations in which the gateway runs a job.
JOB_ERROR_STATUSES = (400, 403, 404, 409, 413, 429, 502, 503, 504, 507)


def list_error_responses(operation: Operation) -> Iterator[tuple[int, ResponseSpec]]:
    """Yield each error status that an operation can have, with a description of the error response.

    The statuses are in ascending order. The schema of each error response is in the dialect of the operation.
    """
    spec, dialect = operation.spec, operation.error_dialect
    statuses = set(spec.error_statuses)
    statuses |= set(_KEY_ERROR_STATUSES) if operation.needs_key else set()
    statuses |= set(_BODY_ERROR_STATUSES) if spec.body is not None else set()
    if dialect not in _DIALECTS_WITH_422:
        statuses -= {422}
    if dialect is DialectName.ANTHROPIC and 503 in statuses:
        statuses |= {529}
    for status in sorted(statuses - spec.responses.keys()):
        yield status, ResponseSpec(_STATUS_DESCRIPTIONS[status], _ERROR_MODELS[dialect])
