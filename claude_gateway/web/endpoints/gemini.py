"""Handlers for `POST …/models/{model}:generateContent` and similar paths of the Gemini dialect."""

from aiohttp import web

from claude_gateway.core.errors import ApiError
from claude_gateway.model_catalog.catalog import unknown_model
from claude_gateway.request_reading.formats import GEMINI_COUNT_FORMAT
from claude_gateway.web.dialects.gemini import GEMINI
from claude_gateway.web.pipeline.count_tokens import count_request_tokens
from claude_gateway.web.pipeline.respond import respond
from claude_gateway.web.responses.json_response import json_response


async def generate_content(request: web.Request) -> web.StreamResponse:
    """Respond to a `generateContent` request with the whole reply in one body."""
    return await respond(request, GEMINI, model_name=_get_model_name(request), is_streamed=False)


async def stream_generate_content(request: web.Request) -> web.StreamResponse:
    """Respond to a `streamGenerateContent` request with a stream."""
    return await respond(request, GEMINI, model_name=_get_model_name(request), is_streamed=True)


async def count_tokens(request: web.Request) -> web.Response:
    """Estimate the number of tokens in a Gemini request."""
    tokens = await count_request_tokens(request, GEMINI_COUNT_FORMAT, _get_model_name(request))
    return json_response({"totalTokens": tokens})


async def refuse_method(request: web.Request) -> web.StreamResponse:
    """Refuse a request whose path names a method that the gateway does not support.

    Raises:
        ApiError: 404 for every request.
    """
    _get_model_name(request)
    raise ApiError(
        404, "not_found_error", "This gateway does not support this method of a model.", code="method_not_found"
    )


def _get_model_name(request: web.Request) -> str:
    """Return the name of the model in the path. The name ends before the last colon, and may contain slashes.

    Raises:
        ApiError: 404 if the name has a second prefix `models/`.
    """
    name = request.match_info["call"].rpartition(":")[0]
    if request.match_info["collection"] != "models":
        return f"{request.match_info['collection']}/{name}"
    name = name.removeprefix("models/")
    if name.startswith("models/"):
        raise unknown_model(name)
    return name
