"""Around every request: its id, its log line, and an error's way into a body."""

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from aiohttp import web

from claude_gateway import errors
from claude_gateway.dialects.anthropic import encode as anthropic
from claude_gateway.dialects.gemini import failure as gemini
from claude_gateway.dialects.openai_chat import encode as openai_chat
from claude_gateway.errors import ApiError
from claude_gateway.ledger.entry import VISIT, Visit
from claude_gateway.log import request_line
from claude_gateway.log.lines import REQUEST
from claude_gateway.web.parts import PARTS, REQUEST_ID, VISITED
from claude_gateway.web.spoken import Dialect, dialect_name, spoken
from workers.errors import WorkerError

_log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
_CALLER_LEFT = 499
# Instead of aiohttp's own, which tells every stranger the versions of aiohttp and Python.
SERVER_NAME = "claude-gateway"
# Codes of errors with a status at which the official clients ask again, where that does not help.
_NOT_WORTH_A_RETRY = frozenset({"claude_login_failed", "tools_unavailable", "budget_spent"})


@web.middleware
async def identify_request(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request its id, the caller's own where that is harmless, and log how it ended."""
    sent = request.headers.get("x-request-id", "")
    request_id = sent if _REQUEST_ID.fullmatch(sent) else uuid.uuid4().hex
    request[REQUEST_ID] = request_id
    request[VISITED] = Visit(request_id, dialect_name(request), _route(request))
    # The next request of this connection runs in the same task.
    before = VISIT.set(request[VISITED])
    request.app[PARTS].traces.begin(request[VISITED], request.method, request.headers)
    began = time.monotonic()
    status = _CALLER_LEFT
    try:
        with request.app[PARTS].drain.request():
            response = await handler(request)
        status = response.status
        return response
    finally:
        _say_how_it_ended(request, status, time.monotonic() - began)
        VISIT.reset(before)


def _say_how_it_ended(request: web.Request, status: int, seconds: float) -> None:
    visit = request[VISITED]
    request.app[PARTS].metrics.answered(visit, request.method, status, seconds)
    request.app[PARTS].traces.answered(visit, status)
    if not _log.isEnabledFor(logging.INFO):
        return
    told = request_line.fields(visit, seconds)
    # Without its query, which may carry a key; as it was sent, so that no caller writes lines of this log.
    path = request.rel_url.raw_path
    words = (request.method, path, status, seconds * 1000, visit.request_id, request_line.text(told))
    _log.info(
        "%s %s %d %.0f ms %s %s",
        *words,
        extra={REQUEST: {"method": request.method, "path": path, "status": status, **told}},
    )


async def add_request_id(request: web.Request, response: web.StreamResponse) -> None:
    """On every response, streams included, just before its head is sent."""
    response.headers["Server"] = SERVER_NAME
    if request.app[PARTS].drain.is_on:
        # What this connection brings next is for the next gateway. Its header was decided on before this hook.
        response.force_close()
        response.headers["Connection"] = "close"
    if REQUEST_ID in request:
        response.headers["x-request-id"] = request[REQUEST_ID]
        if spoken(request) is Dialect.ANTHROPIC:
            response.headers["request-id"] = request[REQUEST_ID]  # where Anthropic's own clients look for it


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn whatever a handler raises into an error body, in the words of the path's dialect."""
    try:
        return await handler(request)
    except ApiError as error:
        if error.code in errors.OF_THE_MACHINE:
            _log.error("request %s failed: %s", request[REQUEST_ID], error.message)
        return _in_dialect(error, request)
    except WorkerError as error:
        return _in_dialect(errors.from_worker(error), request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return _http_error(error, request)
    except (asyncio.CancelledError, ConnectionError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and errors.is_of_the_machine(error):
            _log.error("request %s failed: %s", request[REQUEST_ID], error)
            return _in_dialect(errors.machine_failing(error), request)
        _log.exception("request %s failed", request[REQUEST_ID])
        return _in_dialect(errors.internal(), request)


def _in_dialect(error: ApiError, request: web.Request) -> web.Response:
    return dialect_response(error, spoken(request), request[REQUEST_ID])


def dialect_response(error: ApiError, dialect: Dialect, request_id: str) -> web.Response:
    """The error as a response in the words of a dialect."""
    match dialect:
        case Dialect.ANTHROPIC:
            body = anthropic.error_object(error, request_id)
            return error_response(error, body, status=anthropic.status(error))
        case Dialect.GEMINI:
            return error_response(error, gemini.error_object(error), status=gemini.status(error))
        case Dialect.OPENAI:
            return error_response(error, openai_chat.error_object(error))


def error_response(error: ApiError, body: dict[str, Any], *, status: int | None = None) -> web.Response:
    """`body` is the error in the words of a dialect, `status` where that has another than the error."""
    response = web.json_response(body, status=status or error.status, dumps=_dumps)
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    if error.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    if error.code in _NOT_WORTH_A_RETRY:
        response.headers["x-should-retry"] = "false"
    return response


def _http_error(error: web.HTTPException, request: web.Request) -> web.Response:
    """aiohttp's own: an unknown path, a wrong method."""
    if error.status == 405 and request.method == "OPTIONS":
        return web.Response(status=204, headers={"Allow": error.headers["Allow"]})  # it asked for just that
    types = {404: "not_found_error", 405: "validation_error"}
    api_error = ApiError(error.status, types.get(error.status, "api_error"), error.reason, code=_code(error.reason))
    response = _in_dialect(api_error, request)
    if "Allow" in error.headers:
        response.headers["Allow"] = error.headers["Allow"]
    return response


def _route(request: web.Request) -> str:
    """The path as it stands in the routes: there are only so many."""
    resource = request.match_info.route.resource
    return resource.canonical if resource else ""


def _code(reason: str) -> str:
    return reason.lower().replace(" ", "_")


def _dumps(value: object) -> str:
    return orjson.dumps(value).decode()
