"""Response header that names the login with which the gateway ran the jobs of a request."""

from aiohttp import web

from claude_gateway.web.context.state import REQUEST_CONTEXT, STATE
from claude_gateway.web.responses.response_headers import LOGIN_HEADER


async def add_login_header(request: web.Request, response: web.StreamResponse) -> None:
    """Add the header if there are several logins and a job of the request has run.

    The header names each login that was used, without repetition.
    """
    if (context := request.get(REQUEST_CONTEXT)) is None or not request.app[STATE].health.logins.has_several:
        return
    if logins := dict.fromkeys(record.login for record in context.usage_records if record.login):
        response.headers[LOGIN_HEADER] = ", ".join(logins)
