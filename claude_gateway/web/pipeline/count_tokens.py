"""Estimate of the number of tokens in a request, without a call to a model."""

from aiohttp import web

from claude_gateway.request_reading.formats import RequestFormat
from claude_gateway.web.pipeline.model_authorization import authorize_model
from claude_gateway.web.pipeline.received_request import ReceivedRequest
from claude_gateway.web.request.body import receive_body


async def count_request_tokens(
    request: web.Request, request_format: RequestFormat, model_name: str | None = None
) -> int:
    """Return an estimate of the number of tokens in a request, based on the length of the texts.

    The gateway sends nothing to the upstream, because editors can request an estimate forty times a second.

    Args:
        request: The request.
        request_format: The format whose parser counts the tokens.
        model_name: The model in the path; None if the body names the model.

    Raises:
        ApiError: The gateway refuses the request.
    """
    received = ReceivedRequest(request, await receive_body(request), request_format.choose_schema)
    requested_name = (await received.read_head()).model if model_name is None else model_name
    model = authorize_model(received.client, requested_name, check_budget=False)
    tokens: int = await received.parse(request_format, model)
    return tokens
