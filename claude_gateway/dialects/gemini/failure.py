"""An error in Google's words. Pure."""

from typing import Any

from claude_gateway.errors import ApiError
from claude_gateway.prompt.too_long import in_gemini_words

_WORDS = {
    401: "UNAUTHENTICATED",
    402: "FAILED_PRECONDITION",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    507: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_TYPES = "type.googleapis.com/google.rpc."
_DOMAIN = "claude-gateway"


def status(error: ApiError) -> int:
    """The HTTP status: Google has no 422."""
    return 400 if error.status == 422 else error.status


def error_object(error: ApiError) -> dict[str, Any]:
    """The body of an error answer, and what ends a stream that cannot be finished."""
    code = status(error)
    word = _WORDS.get(code, "INVALID_ARGUMENT" if code < 500 else "INTERNAL")
    violations = [
        {"field": _path(one["field"]), "description": one["message"]} for one in error.extra.get("details", ())
    ]
    message = in_gemini_words(error)
    if violations:
        message = "; ".join(f"{one['field']}: {one['description']}" for one in violations)
    inner = {"code": code, "message": message, "status": word}
    details = _details(error, violations)
    return {"error": inner | ({"details": details} if details else {})}


def _details(error: ApiError, violations: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Google's own kinds of them; its programs read from one how long to wait."""
    details: list[dict[str, Any]] = []
    if error.code:
        details.append({"@type": f"{_TYPES}ErrorInfo", "reason": error.code.upper(), "domain": _DOMAIN})
    if violations:
        details.append({"@type": f"{_TYPES}BadRequest", "fieldViolations": violations})
    if error.retry_after is not None:
        details.append({"@type": f"{_TYPES}RetryInfo", "retryDelay": f"{error.retry_after}s"})
    return details


def _path(field: str) -> str:
    """`body -> contents -> 0` as `contents.0`, the way every other place is named."""
    return ".".join(field.split(" -> ")[1:]) or field
