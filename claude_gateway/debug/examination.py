"""Examines a request for the endpoints `/v1/compatibility` and `/v1/debug/request`. No I/O.

The functions are separate from the HTTP handlers, so that the gateway can run each of them in another process.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel

from claude_gateway.core.errors import ApiError
from claude_gateway.debug import compatibility, redaction
from claude_gateway.debug.dialect_detection import detect_request_dialect
from claude_gateway.dialects.common.dialect_name import DialectName
from claude_gateway.dialects.common.parameters.support import ParameterSupport
from claude_gateway.request_reading.formats import REQUEST_FORMATS
from claude_gateway.request_reading.json_body import RequestBody, parse_object, validate_schema
from claude_gateway.request_reading.tasks import ChooseSchema, strip_content
from workers.core.job import ChatJob

_MAX_NAME_CHARS = 1_000


@dataclass(frozen=True, slots=True)
class ExaminedRequest:
    """Result of examining a request.

    Attributes:
        dialect: Dialect of the request.
        detected_by: Part of the request (`query`, `body` or `header`) that shows the dialect.
        parameters: The first parameters in the request, each with the kind of support that the gateway has for it.
        requested_model: Model that the body names; "" if the body names no model. Gemini requests to these endpoints
            also name the model in the body, although other Gemini requests name it in the URL path.
        request: The parsed request without its long contents; None if the request is invalid.
        error: Error with which the gateway would reject the request; None if the gateway would accept it.
    """

    dialect: DialectName
    detected_by: str
    parameters: tuple[ParameterSupport, ...]
    requested_model: str
    request: BaseModel | None = None
    error: ApiError | None = None


def choose_debug_schema(
    header_names: Collection[str], requested_dialect: str | None, body_object: dict[str, Any]
) -> tuple[type[BaseModel], dict[str, Any]]:
    """Detect the dialect of a request, and return the schema of this dialect and the object to validate with it."""
    dialect, _ = detect_request_dialect(body_object, header_names, requested_dialect)
    return REQUEST_FORMATS[dialect].schema, _merge_extra_body(dialect, body_object)


def examine_request(
    body: RequestBody, _choose: ChooseSchema[BaseModel], header_names: Collection[str], requested_dialect: str | None
) -> ExaminedRequest:
    """Detect the dialect of a request, find the kind of support for each parameter, and validate the request.

    Raises:
        ApiError: 400 if the body is not a JSON object or the query string names an unknown dialect.
    """
    body_object = parse_object(body)
    dialect, detected_by = detect_request_dialect(body_object, header_names, requested_dialect)
    body_object = _merge_extra_body(dialect, body_object)
    request_format = REQUEST_FORMATS[dialect]
    parameters = tuple(
        replace(parameter, name=parameter.name[:_MAX_NAME_CHARS])
        for parameter in request_format.classify(body_object)[: compatibility.MAX_NAMES]
    )
    model = body_object.get("model")
    requested_model = model[:_MAX_NAME_CHARS] if isinstance(model, str) else ""
    examined = ExaminedRequest(dialect, detected_by, parameters, requested_model)
    try:
        request = validate_schema(request_format.schema, body_object)
    except ApiError as error:
        return replace(examined, error=error)
    stripped = strip_content(request)
    if (keep_fields := request_format.keep_fields) is not None:
        stripped = stripped.model_copy(update=dict(keep_fields(request)))
    return replace(examined, request=stripped)


def to_debug_json(
    body: RequestBody, choose: ChooseSchema[BaseModel], job: ChatJob | None, secrets: Collection[str]
) -> tuple[Any, Any]:
    """Return the parsed request and its job as JSON without secrets. If the request is invalid, both are None."""
    schema, body_object = choose(parse_object(body))
    try:
        request = validate_schema(schema, body_object).model_dump(exclude_unset=True, by_alias=True)
    except ApiError:
        return None, None
    return redaction.redact_value(request, secrets), redaction.redact_value(job, secrets)


def _merge_extra_body(dialect: DialectName, body_object: dict[str, Any]) -> dict[str, Any]:
    """Merge the fields of `extra_body` into the body of an OpenAI chat."""
    match body_object:
        case {"extra_body": dict(extra), **rest} if dialect is DialectName.OPENAI_CHAT:
            return {**rest, **extra}
    return body_object
