"""Adapters of all dialects.

To add a dialect, write its adapter in its own module, and add a line here.
"""

from tests.claude_gateway.dialects.adapters.anthropic import Anthropic
from tests.claude_gateway.dialects.adapters.dialect_adapter import DialectAdapter
from tests.claude_gateway.dialects.adapters.gemini import Gemini
from tests.claude_gateway.dialects.adapters.openai_chat import OpenAIChat
from tests.claude_gateway.dialects.adapters.openai_responses import OpenAIResponses

DIALECTS: list[DialectAdapter] = [
    OpenAIChat(),
    Anthropic(),
    OpenAIResponses(),
    Gemini(),
]


def get_dialect(name: str) -> DialectAdapter:
    """Return the adapter of the dialect with this name."""
    (dialect,) = [dialect for dialect in DIALECTS if dialect.name == name]
    return dialect
