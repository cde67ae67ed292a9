"""Handlers for `POST /v1/messages` and `POST /v1/messages/count_tokens`, in the Anthropic dialect."""

from aiohttp import web

from claude_gateway.request_reading.formats import MESSAGES_COUNT_FORMAT
from claude_gateway.web.dialects.anthropic import ANTHROPIC
from claude_gateway.web.pipeline.count_tokens import count_request_tokens
from claude_gateway.web.pipeline.respond import respond
from claude_gateway.web.responses.json_response import json_response


async def create_message(request: web.Request) -> web.StreamResponse:
    """Respond to a Messages request."""
    return await respond(request, ANTHROPIC)


async def count_tokens(request: web.Request) -> web.Response:
    """Estimate the number of tokens in a Messages request."""
    return json_response({"input_tokens": await count_request_tokens(request, MESSAGES_COUNT_FORMAT)})
