"""Handlers for `POST /v1/compatibility` and `POST /v1/debug/request`.

The handlers show how the gateway parses a request. They do not call a model.
"""

from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from aiohttp import web

from claude_gateway.auth.authenticator import extract_api_keys
from claude_gateway.core.errors import ApiError
from claude_gateway.debug import compatibility, redaction
from claude_gateway.debug.examination import ExaminedRequest, choose_debug_schema, examine_request, to_debug_json
from claude_gateway.dialects.common.dialect_name import DialectName
from claude_gateway.dialects.openai_chat.errors import error_object
from claude_gateway.sessions.session import NO_SESSION
from claude_gateway.web.context.client_request import ClientRequest
from claude_gateway.web.context.state import REQUEST_ID, STATE
from claude_gateway.web.dialects.dialect import StoredConversation
from claude_gateway.web.dialects.registry import DIALECTS
from claude_gateway.web.pipeline.model_authorization import authorize_model
from claude_gateway.web.pipeline.prepare import parse_with_tools
from claude_gateway.web.pipeline.received_request import ReceivedRequest
from claude_gateway.web.request.body import read_body_bytes, receive_body
from claude_gateway.web.responses.json_response import json_response
from workers.core.job import ChatJob
from workers.core.job_size import estimate_job_bytes

# The maximum number of warnings from the parser that a response lists.
_MAX_WARNINGS = 1_000


@dataclass(frozen=True, slots=True)
class _Inspection:
    """A request that the gateway has parsed but does not run.

    Attributes:
        received: The request as the client sent it.
        examination: The dialect and the parameters of the request.
        job: The job that the gateway would run; None if it refuses the request.
        warnings: The warnings that the response to the request would have.
        error: The error with which the gateway refuses the request; None if it accepts the request.
    """

    received: ReceivedRequest
    examination: ExaminedRequest
    job: ChatJob | None = None
    warnings: tuple[str, ...] = ()
    error: ApiError | None = None

    def dialect_to_json(self) -> dict[str, Any]:
        """Return the JSON fields that name the dialect."""
        dialect = DIALECTS[self.examination.dialect]
        return {"dialect": dialect.name.kind, "endpoint": dialect.endpoint, "detected_by": self.examination.detected_by}

    def error_to_json(self) -> dict[str, Any] | None:
        """Return the error of the request as JSON; None if the gateway accepts the request."""
        return error_object(self.error)["error"] if self.error else None


async def check_compatibility(request: web.Request) -> web.Response:
    """Report which parameters of a request the gateway applies."""
    inspection = await _inspect(request)
    parameters = inspection.examination.parameters
    supported_parameters = DIALECTS[inspection.examination.dialect].format.parameters
    return json_response(
        {
            **inspection.dialect_to_json(),
            "compatible": inspection.error is None,
            "parameters": compatibility.group_parameters(parameters),
            "warnings": inspection.warnings,
            "suggestions": compatibility.suggest_changes(parameters, supported_parameters, inspection.error_to_json()),
            "error": inspection.error_to_json(),
        }
    )


async def debug_request(request: web.Request) -> web.Response:
    """Return a request as the gateway parses it, and the job that the gateway would run for the request."""
    inspection = await _inspect(request)
    secrets = [*extract_api_keys(request.headers), *request.query.getall("key", [])]
    job = inspection.job
    if job is not None and job.agent_options is not None:
        job = replace(job, agent_options=replace(job.agent_options, call_remote_tool=None))
    is_small = job is None or estimate_job_bytes(job) <= request.app[STATE].offload.limits.max_inline_bytes
    parsed_json, job_json = await inspection.received.run(to_debug_json, job, secrets, is_small=is_small)
    return json_response(
        {
            **inspection.dialect_to_json(),
            "request": {
                "request_id": request[REQUEST_ID],
                "headers": redaction.redact_headers(request.headers.items(), secrets),
                "body_bytes": len(await read_body_bytes(request)),
            },
            "valid": inspection.error is None,
            "error": inspection.error_to_json(),
            "parsed": parsed_json,
            "job": job_json,
            "warnings": inspection.warnings,
            "skipped_steps": [
                "The gateway fetched no media by URL.",
                "The gateway did not load the history of a session.",
            ],
        }
    )


async def _inspect(request: web.Request) -> _Inspection:
    """Parse a request in the same way as the endpoint of its dialect.

    Raises:
        ApiError: 400 if the body is not a JSON object, or if the query names an unknown dialect.
    """
    header_names, requested_dialect = tuple(request.headers), request.query.get("dialect")
    choose_schema = partial(choose_debug_schema, header_names, requested_dialect)
    received = ReceivedRequest(request, await receive_body(request), choose_schema)
    examination = await received.run(examine_request, header_names, requested_dialect)
    inspection = _Inspection(received, examination, error=examination.error)
    if examination.request is None:
        return inspection
    try:
        async with AsyncExitStack() as resources:
            parsed = await _parse(received, examination.request, examination, resources)
    except ApiError as error:
        return replace(inspection, error=error)
    return replace(inspection, job=parsed.job, warnings=parsed.warnings)


async def _parse(received: ReceivedRequest, head: Any, examination: ExaminedRequest, resources: AsyncExitStack) -> Any:
    """Parse a request, and attach its built-in tools. Do not load the history of a session, and fetch no media."""
    client, dialect = received.client, DIALECTS[examination.dialect]
    conversation: StoredConversation = NO_SESSION
    if not dialect.has_sessions:
        conversation = await dialect.open_conversation(client, head, resources)
    model = authorize_model(client, _get_model_name(client, head, examination), check_budget=False)
    return await parse_with_tools(received, dialect, head, model, conversation, max_warnings=_MAX_WARNINGS)


def _get_model_name(client: ClientRequest, head: Any, examination: ExaminedRequest) -> str:
    """Return the name of the model that a request names.

    In the Gemini dialect, the path of the request contains the name. In the other dialects, the body contains the name.
    """
    if examination.dialect is not DialectName.GEMINI:
        name: str = head.model
        return name
    return (client.query.get("model") or examination.requested_model).removeprefix("models/") or "default"
