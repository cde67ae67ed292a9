"""Claude's own tools for a request that asks for them, in its body or its headers; the same way for every dialect."""

from aiohttp import web

from claude_gateway.own_tools.built_in import read_headers
from claude_gateway.own_tools.toolbox import Asks, with_thinking
from claude_gateway.web.parts import CALLER, PARTS, VISITED
from workers.job import ChatJob

_OF_TOOLS = ("X-Claude-Allowed-Tools", "X-Claude-Disallowed-Tools", "X-Claude-Permission-Mode", "X-Claude-Max-Turns")


async def equipped(request: web.Request, job: ChatJob, asks: Asks) -> tuple[ChatJob, tuple[str, ...]]:
    """The job with the tools that the request, its session and its key want, and what was left out. Raises `ApiError`:
    400 for a header that cannot be, 403 for a key that may use none."""
    request[VISITED].session = bool(asks.session)
    headers = read_headers(request.headers)
    notes: list[str] = []
    if headers.max_thinking is not None:
        job, given_way = with_thinking(job, headers.max_thinking)
        notes += given_way
    if asks.tools and job.tools:
        notes.append("enable_tools: left out, the request brings tools of its own")
    elif asks.tools or asks.hosted:
        job, told = await request.app[PARTS].toolbox.equip(job, request[CALLER], headers, asks)
        notes += told
    if job.work is None and not asks.tools:
        notes += [f"{name}: without enable_tools there are no tools" for name in _OF_TOOLS if name in request.headers]
    return job, tuple(notes)
