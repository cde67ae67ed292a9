"""Middleware that assigns request ids, writes the access log and converts exceptions to error responses."""

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Awaitable, Callable

from aiohttp import web

from claude_gateway.core import errors
from claude_gateway.core.errors import ApiError
from claude_gateway.observability.log import access_log
from claude_gateway.observability.log.formatters import REQUEST_FIELDS
from claude_gateway.observability.log.request_id import CURRENT_REQUEST_ID
from claude_gateway.usage.record import RequestContext
from claude_gateway.web.context.state import REQUEST_CONTEXT, REQUEST_ID, STATE
from claude_gateway.web.dialects.registry import DIALECT, DIALECTS, GENERAL_DIALECT
from claude_gateway.web.responses.error_response import SERVER_NAME, dialect_error_response
from claude_gateway.web.route_lookup import detect_dialect
from workers.core.errors import WorkerError

_log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_REQUEST_ID_PATTERN = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
_CLIENT_DISCONNECTED_STATUS = 499


@web.middleware
async def track_request(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give a request an id, handle the request, and log its completion.

    If the client sent an id that contains only characters that are safe in a log, the gateway uses this id.
    """
    client_id = request.headers.get("x-request-id", "")
    request_id = client_id if _REQUEST_ID_PATTERN.fullmatch(client_id) else uuid.uuid4().hex
    request[REQUEST_ID] = request_id
    dialect = detect_dialect(request)
    request[DIALECT] = DIALECTS[dialect] if dialect else GENERAL_DIALECT
    request[REQUEST_CONTEXT] = RequestContext(request_id, dialect or "", _find_route_path(request))
    # The end of this function resets the id, because the next request on the connection runs in the same task.
    token = CURRENT_REQUEST_ID.set(request_id)
    request.app[STATE].traces.request_started(request[REQUEST_CONTEXT], request.method, request.headers)
    started_at = time.monotonic()
    status = _CLIENT_DISCONNECTED_STATUS
    try:
        with request.app[STATE].shutdown.track_request():
            response = await handler(request)
        status = response.status
        return response
    finally:
        _record_completion(request, status, time.monotonic() - started_at)
        CURRENT_REQUEST_ID.reset(token)


def _record_completion(request: web.Request, status: int, seconds: float) -> None:
    context = request[REQUEST_CONTEXT]
    request.app[STATE].metrics.request_completed(context, request.method, status, seconds)
    request.app[STATE].traces.request_completed(context, status)
    if not _log.isEnabledFor(logging.INFO):
        return
    fields = access_log.build_access_log(context, seconds)
    # The log contains no query, because a query may contain a key. The path is percent-encoded, so that a client cannot
    # add lines to the log.
    path = request.rel_url.raw_path
    arguments = (request.method, path, status, seconds * 1000, context.request_id, access_log.format_access_log(fields))
    _log.info(
        "%s %s %d %.0f ms %s %s",
        *arguments,
        extra={REQUEST_FIELDS: {"method": request.method, "path": path, "status": status, **fields}},
    )


async def add_request_id(request: web.Request, response: web.StreamResponse) -> None:
    """Add the request id and the `Server` header to a response just before the gateway sends its head."""
    response.headers["Server"] = SERVER_NAME
    if request.app[STATE].shutdown.is_draining:
        # The client must send its next request to the next gateway process. aiohttp sets the Connection header before
        # it calls this function, so `force_close` alone does not change the header.
        response.force_close()
        response.headers["Connection"] = "close"
    if REQUEST_ID in request:
        response.headers["x-request-id"] = request[REQUEST_ID]
        if request[DIALECT].request_id_header:
            response.headers[request[DIALECT].request_id_header] = request[REQUEST_ID]


@web.middleware
async def handle_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Convert every exception of a handler to an error response in the dialect of the request."""
    try:
        return await handler(request)
    except ApiError as error:
        if error.code in errors.HOST_ERROR_CODES:
            _log.error("request %s failed: %s", request[REQUEST_ID], error.message)
        return _request_error_response(error, request)
    except WorkerError as error:
        return _request_error_response(errors.from_worker_error(error), request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return _http_error_response(error, request)
    except (asyncio.CancelledError, ConnectionError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and errors.is_host_failure(error):
            _log.error("request %s failed: %s", request[REQUEST_ID], error)
            return _request_error_response(errors.host_failure(error), request)
        _log.exception("request %s failed", request[REQUEST_ID])
        return _request_error_response(errors.internal_error(), request)


def _request_error_response(error: ApiError, request: web.Request) -> web.Response:
    return dialect_error_response(error, request[DIALECT], request[REQUEST_ID])


def _http_error_response(error: web.HTTPException, request: web.Request) -> web.Response:
    """Return the error response for an exception of aiohttp, for example for an unknown path or a wrong method."""
    if error.status == 405 and request.method == "OPTIONS":
        return web.Response(
            status=204, headers={"Allow": error.headers["Allow"]}
        )  # the client asks which methods the path has
    error_types = {404: "not_found_error", 405: "validation_error"}
    api_error = ApiError(
        error.status, error_types.get(error.status, "api_error"), error.reason, code=_to_error_code(error.reason)
    )
    response = _request_error_response(api_error, request)
    if "Allow" in error.headers:
        response.headers["Allow"] = error.headers["Allow"]
    return response


def _find_route_path(request: web.Request) -> str:
    """Return the path of the route, with placeholders for its parameters.

    The metrics use this path as a label, because there would be too many labels if each requested path were a label.
    """
    resource = request.match_info.route.resource
    return resource.canonical if resource else ""


def _to_error_code(reason: str) -> str:
    return reason.lower().replace(" ", "_")
