"""Middleware that handles a request again with a replacement model if the upstream rejects its model."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from claude_gateway.model_catalog.retirements import find_retirement
from claude_gateway.web.context.state import REQUEST_CONTEXT, STATE
from claude_gateway.web.responses.response_headers import WARNINGS_HEADER
from workers.core.errors import ErrorKind, WorkerError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def retry_with_replacement(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Handle a request. If the upstream rejects its model, handle it a second time with the replacement model.

    The client has not received anything when the upstream rejects the model. The gateway parses the request again,
    because the valid parameters depend on the model.
    """
    try:
        return await handler(request)
    except WorkerError as error:
        model = request[REQUEST_CONTEXT].authorized_model
        if error.kind is not ErrorKind.MODEL_NOT_FOUND or request.app[STATE].catalog.current_model(model) == model:
            raise
    return await handler(request)


async def add_replacement_warning(request: web.Request, response: web.StreamResponse) -> None:
    """Add a warning header to the response if its reply comes from another model than the client requested."""
    if (context := request.get(REQUEST_CONTEXT)) is None:
        return
    resolved, authorized = context.resolved_model, context.authorized_model
    if resolved and resolved != authorized and (retirement := find_retirement(resolved)) is not None:
        warning = f"model: changed from {resolved} to {authorized} ({retirement.reason})"
        other_warnings = response.headers.get(WARNINGS_HEADER)
        response.headers[WARNINGS_HEADER] = f"{warning}; {other_warnings}" if other_warnings else warning
