"""Step that attaches built-in tools to the job of a request that enables them. It is the same in every dialect."""

from claude_gateway.builtin_tools.catalog import parse_tool_headers
from claude_gateway.builtin_tools.service import ToolRequest, with_thinking_budget
from claude_gateway.web.context.client_request import ClientRequest
from workers.core.job import ChatJob

_TOOL_HEADERS = (
    "X-Claude-Allowed-Tools",
    "X-Claude-Disallowed-Tools",
    "X-Claude-Permission-Mode",
    "X-Claude-Max-Turns",
)


async def attach_builtin_tools(
    client: ClientRequest, job: ChatJob, tool_request: ToolRequest
) -> tuple[ChatJob, tuple[str, ...]]:
    """Return the job with its built-in tools. The headers of the request, its session or its key select these tools.

    Returns:
        The job, and warnings for the client.

    Raises:
        ApiError: 400 if a header is invalid, 403 if the key may not use tools.
    """
    client.context.has_session = bool(tool_request.session_id)
    headers = parse_tool_headers(client.headers)
    warnings: list[str] = []
    if headers.max_thinking_tokens is not None:
        job, adjustments = with_thinking_budget(job, headers.max_thinking_tokens)
        warnings += adjustments
    if tool_request.enable_tools and job.tools:
        warnings.append("enable_tools: ignored (the request defines client tools)")
    elif tool_request.enable_tools or tool_request.hosted_tools:
        job, omissions = await client.state.builtin_tools.attach_tools(job, client.key, headers, tool_request)
        warnings += omissions
    if job.agent_options is None and not tool_request.enable_tools:
        warnings += [f"{name}: ignored (it needs enable_tools)" for name in _TOOL_HEADERS if name in client.headers]
    return job, tuple(warnings)
