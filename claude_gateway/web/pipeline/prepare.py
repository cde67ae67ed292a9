"""Steps that prepare a received request so that its job can run. Their order is the same for every dialect.

The gateway checks the model, the budget and the scopes of the key before it takes a step with an effect, for example
before it fetches a URL.
"""

from contextlib import AsyncExitStack
from typing import Any

from aiohttp import web

from claude_gateway.web.dialects.dialect import Dialect, PreparedRequest, StoredConversation
from claude_gateway.web.pipeline.builtin_tools import attach_builtin_tools
from claude_gateway.web.pipeline.media_fetch import resolve_remote_media
from claude_gateway.web.pipeline.model_authorization import authorize_model, get_response_model_name
from claude_gateway.web.pipeline.received_request import ReceivedRequest
from claude_gateway.web.request.body import receive_body
from workers.core.frozen import with_changes


async def prepare_request(
    request: web.Request,
    dialect: Dialect,
    resources: AsyncExitStack,
    *,
    model_name: str | None = None,
    is_streamed: bool | None = None,
) -> PreparedRequest:
    """Receive a request, authorize it, and build its job.

    Args:
        request: The request.
        dialect: The dialect of the path.
        resources: Receives the locks and the memory that the request holds until the gateway has sent its response.
        model_name: The model in the path; None if the body names the model.
        is_streamed: Whether the path asks for a stream; None if the body determines this.

    Raises:
        ApiError: The gateway refuses the request.
    """
    body = await receive_body(request)
    received = ReceivedRequest(request, body, dialect.format.choose_schema, dialect.format.keep_fields)
    client, head = received.client, await received.read_head()
    dialect = dialect.find_variant(head) or dialect
    dialect.check_request(head)
    requested_name = head.model if model_name is None else model_name
    model = authorize_model(client, requested_name)
    choice_count = dialect.count_choices(head, client.state.settings)
    conversation = await dialect.open_conversation(client, head, resources)
    parsed = await parse_with_tools(received, dialect, head, model, conversation)
    media = await resolve_remote_media(client, parsed.job)
    parsed = with_changes(parsed, job=media.job, warnings=(*parsed.warnings, *media.warnings))
    if media.fetched_media:
        parsed = dialect.with_fetched_media(parsed, media.fetched_media)
    return PreparedRequest(
        dialect,
        client,
        parsed,
        conversation,
        get_response_model_name(client, requested_name),
        parsed.stream if is_streamed is None else is_streamed,
        choice_count,
    )


async def parse_with_tools(
    received: ReceivedRequest,
    dialect: Dialect,
    head: Any,
    model: str,
    conversation: StoredConversation,
    max_warnings: int | None = None,
) -> Any:
    """Parse the whole request, and attach the built-in tools that it enables.

    Args:
        received: The request.
        dialect: The dialect of the response.
        head: The request without its long fields.
        model: The model for the job.
        conversation: The conversation that the request continues.
        max_warnings: The maximum number of warnings from the parser; None for all warnings.

    Raises:
        ApiError: 400 if the request is invalid, 403 if the key may not use tools.
    """
    client = received.client
    parsed = await received.parse(dialect.format, model, conversation.history)
    tool_request = dialect.create_tool_request(client.state.settings, head, parsed)
    job, warnings = await attach_builtin_tools(client, parsed.job, tool_request)
    return with_changes(parsed, job=job, warnings=(*parsed.warnings[:max_warnings], *warnings))
