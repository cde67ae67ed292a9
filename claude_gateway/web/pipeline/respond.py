"""Pipeline for every request that asks for a reply of the model.

The gateway reads, authorizes and prepares such a request, and runs its job.
"""

from contextlib import AsyncExitStack, aclosing

from aiohttp import web

from claude_gateway.jobs import structured_output
from claude_gateway.web.context.state import AppState
from claude_gateway.web.dialects.dialect import Dialect, PreparedRequest
from claude_gateway.web.pipeline.prepare import prepare_request
from claude_gateway.web.responses.json_response import json_response
from claude_gateway.web.responses.response_headers import build_response_headers
from claude_gateway.web.streaming.sse import StreamTiming, send_stream
from workers.core.events import EventStream


async def respond(
    request: web.Request, dialect: Dialect, *, model_name: str | None = None, is_streamed: bool | None = None
) -> web.StreamResponse:
    """Respond to a request in its dialect, with a stream or with one body.

    Args:
        request: The request.
        dialect: The dialect of the path.
        model_name: The model in the path; None if the body names the model.
        is_streamed: Whether the path asks for a stream; None if the body determines this.

    Raises:
        ApiError: The gateway refuses the request.
        WorkerError: The job failed before the response began.
    """
    async with AsyncExitStack() as resources:
        prepared = await prepare_request(request, dialect, resources, model_name=model_name, is_streamed=is_streamed)
        return await send_reply(request, prepared)


async def send_reply(request: web.Request, prepared: PreparedRequest) -> web.StreamResponse:
    """Run the job of a prepared request, and send the reply.

    If the client wants several choices, run the job once for each choice.
    """
    client, dialect = prepared.client, prepared.dialect
    streams = [_run_job(prepared) for _ in range(prepared.choice_count)]
    headers = build_response_headers(prepared.job.model, prepared.parsed.warnings)
    if prepared.is_streamed:
        batches, encoder = dialect.encode_stream(prepared, streams)
        framing = dialect.choose_framing(client.query)
        return await send_stream(request, batches, encoder, get_stream_timing(client.state), headers, framing)
    batches, builder = dialect.collect_body(prepared, streams)
    async with aclosing(batches):
        async for batch in batches:
            for event in batch:
                builder.feed(event)
    return json_response(builder.body(), headers=headers)


def _run_job(prepared: PreparedRequest) -> EventStream:
    """Start the job of a request, and return its events. The conversation of the request stores the reply.

    Raises:
        WorkerError: The gateway is shutting down.
    """
    client, job = prepared.client, prepared.job
    client.state.shutdown.reject_if_draining()
    events = structured_output.run_job(
        client.state.chat_service, job, live=prepared.is_streamed, context=client.context
    )
    return prepared.conversation.persist_stream(job, events)


def get_stream_timing(state: AppState) -> StreamTiming:
    """Return the time limits for a stream. The settings define them."""
    return StreamTiming(state.settings.stream_head_timeout_seconds, state.settings.heartbeat_interval_seconds)
