"""Handler for `POST /v1/chat/completions`, in the dialect OpenAI Chat."""

from aiohttp import web

from claude_gateway.web.dialects.openai_chat import OPENAI_CHAT
from claude_gateway.web.pipeline.respond import respond


async def create_chat_completion(request: web.Request) -> web.StreamResponse:
    """Respond to a Chat Completions request.

    The handler also accepts requests in the Responses format, because some clients send them to this path.
    """
    return await respond(request, OPENAI_CHAT)
