"""Every dialect under one face (face.py), so that a law is written once. A new dialect joins with a class in a file of
its own and a line below."""

from tests.claude_gateway.dialects.anthropic import Anthropic
from tests.claude_gateway.dialects.face import Dialect
from tests.claude_gateway.dialects.gemini import Gemini
from tests.claude_gateway.dialects.openai_chat import OpenAIChat
from tests.claude_gateway.dialects.openai_responses import OpenAIResponses

DIALECTS: list[Dialect] = [
    OpenAIChat(),
    Anthropic(),
    OpenAIResponses(),
    Gemini(),
]
