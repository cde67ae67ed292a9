"""A request's JSON body as a pydantic model, or an error that says which field is wrong."""

from typing import Any, TypeVar

import orjson
from aiohttp import web
from pydantic import BaseModel, ValidationError

from claude_gateway.errors import ApiError

Model = TypeVar("Model", bound=BaseModel)

_MOST_DETAILS = 20
_HELP = {
    "common_issues": [
        "Missing required fields (model, messages)",
        "Invalid field types (e.g. messages should be an array)",
        "Invalid role values (must be 'system', 'developer', 'user', 'assistant' or 'tool')",
        "Invalid parameter ranges (e.g. temperature must be 0-2)",
    ],
    "debug_tip": "Set DEBUG_MODE=true for more detailed logging",
}


async def read(request: web.Request, model: type[Model]) -> Model:
    """Raises `ApiError`: 400 for what is no JSON object, 413 for what is too large, 422 for a wrong shape."""
    try:
        raw = await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise ApiError(
            413,
            "request_too_large",
            "The request body is larger than this gateway takes (MAX_REQUEST_SIZE).",
            code="request_too_large",
        ) from error
    except web.RequestPayloadError:
        raise ApiError(
            400, "validation_error", "The body is not what its Content-Encoding says.", code="invalid_body"
        ) from None
    return _validated(model, _object(raw))


def _object(raw: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise ApiError(
            400, "validation_error", f"The body is not valid JSON: {error.msg}.", code="invalid_json"
        ) from None
    if not isinstance(value, dict):
        raise ApiError(400, "validation_error", "The body must be a JSON object.", code="invalid_json")
    return value


def _validated(model: type[Model], value: dict[str, Any]) -> Model:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        details = [
            {"field": " -> ".join(["body", *map(_shown, one["loc"])]), "message": one["msg"], "type": one["type"]}
            for one in error.errors(include_url=False, include_context=False, include_input=False)[:_MOST_DETAILS]
        ]
        raise ApiError(
            422,
            "validation_error",
            "Request validation failed - the request body doesn't match the expected format",
            code="invalid_request_error",
            extra={"details": details, "help": _HELP},
        ) from None


def _shown(place: int | str) -> str:
    return str(place)[:100]
