"""Table of all dialects by name, and the key under which an aiohttp request holds its dialect."""

from collections.abc import Mapping

from aiohttp import web

from claude_gateway.dialects.common.dialect_name import DialectName
from claude_gateway.web.dialects.anthropic import ANTHROPIC
from claude_gateway.web.dialects.dialect import Dialect
from claude_gateway.web.dialects.gemini import GEMINI
from claude_gateway.web.dialects.openai_chat import OPENAI_CHAT
from claude_gateway.web.dialects.openai_responses import OPENAI_RESPONSES

DIALECTS: Mapping[DialectName, Dialect] = {
    dialect.name: dialect for dialect in (OPENAI_CHAT, OPENAI_RESPONSES, ANTHROPIC, GEMINI)
}
# The dialect in which the gateway sends errors if the request has no dialect.
GENERAL_DIALECT = OPENAI_CHAT
# The key for the dialect of the response. The gateway sets it as soon as it has found the route of the request.
DIALECT = web.RequestKey("dialect", Dialect)
