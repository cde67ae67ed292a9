"""Encode errors in the format of Google's APIs. No I/O."""

from typing import Any

from claude_gateway.core.errors import ApiError
from claude_gateway.dialects.common.context_length_errors import format_gemini_message

_STATUS_NAMES = {
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
_TYPE_URL_PREFIX = "type.googleapis.com/google.rpc."
_ERROR_DOMAIN = "claude-gateway"


def get_http_status(error: ApiError) -> int:
    """Return the HTTP status that Google's APIs use for an error. A status of 422 becomes 400."""
    return 400 if error.status == 422 else error.status


def error_object(error: ApiError) -> dict[str, Any]:
    """Return the JSON body of an error response. The last chunk of a failed stream is the same object."""
    code = get_http_status(error)
    status_name = _STATUS_NAMES.get(code, "INVALID_ARGUMENT" if code < 500 else "INTERNAL")
    violations = [
        {"field": _to_field_path(detail["field"]), "description": detail["message"]}
        for detail in error.extra.get("details", ())
    ]
    message = format_gemini_message(error)
    if violations:
        message = "; ".join(f"{violation['field']}: {violation['description']}" for violation in violations)
    inner = {"code": code, "message": message, "status": status_name}
    details = _build_error_details(error, violations)
    return {"error": inner | ({"details": details} if details else {})}


def _build_error_details(error: ApiError, violations: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Return the objects for the field `details` of an error. Google defines the types of these objects.

    In `RetryInfo`, Google's clients find the time for which they must wait before the next attempt.
    """
    details: list[dict[str, Any]] = []
    if error.code:
        details.append({"@type": f"{_TYPE_URL_PREFIX}ErrorInfo", "reason": error.code.upper(), "domain": _ERROR_DOMAIN})
    if violations:
        details.append({"@type": f"{_TYPE_URL_PREFIX}BadRequest", "fieldViolations": violations})
    if error.retry_after is not None:
        details.append({"@type": f"{_TYPE_URL_PREFIX}RetryInfo", "retryDelay": f"{error.retry_after}s"})
    return details


def _to_field_path(field: str) -> str:
    """Convert a field path of the form `body -> contents -> 0` to the usual form `contents.0`."""
    return ".".join(field.split(" -> ")[1:]) or field
