"""Which model each path reads a body by, and the tokens of a whole request. Pure.

They stand apart from the handlers: a process that reads requests imports no web server.
"""

from collections.abc import Mapping
from typing import Any

from claude_gateway.dialects.anthropic.parse import parse as parse_messages
from claude_gateway.dialects.anthropic.wire import MessagesRequest
from claude_gateway.dialects.gemini.parse import parse as parse_gemini
from claude_gateway.dialects.gemini.wire import CountTokensRequest, GenerateContentRequest
from claude_gateway.dialects.openai_chat.wire import ChatRequest
from claude_gateway.dialects.openai_responses.wire import ResponsesRequest
from claude_gateway.prompt.conversation import bad
from claude_gateway.prompt.thoughts import Sealer
from claude_gateway.prompt.token_count import estimate

Object = dict[str, Any]


def chat_model(sent: Object) -> tuple[type[ChatRequest | ResponsesRequest], Object]:
    return (ResponsesRequest if is_agents(sent) else ChatRequest), sent


def is_agents(sent: Mapping[str, Any]) -> bool:
    """True for a Responses body on the path of chats; some come with empty messages besides."""
    return "input" in sent and not sent.get("messages")


def messages_model(sent: Object) -> tuple[type[MessagesRequest], Object]:
    return MessagesRequest, sent


def responses_model(sent: Object) -> tuple[type[ResponsesRequest], Object]:
    return ResponsesRequest, sent


def gemini_model(sent: Object) -> tuple[type[GenerateContentRequest], Object]:
    return GenerateContentRequest, sent


def gemini_count_model(sent: Object) -> tuple[type[CountTokensRequest], Object]:
    return CountTokensRequest, sent


def count_messages(asked: MessagesRequest, owner: str, model: str) -> int:
    return estimate(parse_messages(asked, owner, model).job)


def count_gemini(asked: CountTokensRequest, owner: str, model: str, sealer: Sealer) -> int:
    if asked.counted is None:
        raise bad("contents", "there is nothing to count; send contents or a generateContentRequest")
    return estimate(parse_gemini(asked.counted, owner, model, sealer).job)
