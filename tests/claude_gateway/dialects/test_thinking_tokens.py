"""Counts of thinking tokens in the usage of each dialect."""

from typing import Any

import pytest

from claude_gateway.dialects.anthropic import encode as anthropic
from claude_gateway.dialects.gemini import encode as gemini
from claude_gateway.dialects.openai_chat import encode as openai_chat
from claude_gateway.dialects.openai_responses import response_object as openai_responses
from claude_gateway.openapi.resources.chat import CompletionUsage
from claude_gateway.openapi.resources.gemini import UsageMetadata
from claude_gateway.openapi.resources.messages import MessagesUsage
from claude_gateway.openapi.resources.response_object import ResponseUsage
from claude_gateway.openapi.spec import ResponseModel
from workers.core.events import TokenUsage

USAGE = TokenUsage(input_tokens=10, output_tokens=7, thinking_tokens=4)


def test_openai_counts_thinking_tokens_in_the_output() -> None:
    chat, response = openai_chat.usage_object(USAGE), openai_responses.usage_object(USAGE)

    assert (chat["completion_tokens"], chat["completion_tokens_details"]) == (7, {"reasoning_tokens": 4})
    assert (response["output_tokens"], response["output_tokens_details"]) == (7, {"reasoning_tokens": 4})


def test_anthropic_counts_thinking_tokens_in_the_output_and_omits_zero() -> None:
    usage = anthropic.usage_object(USAGE)

    assert (usage["output_tokens"], usage["output_tokens_details"]) == (7, {"thinking_tokens": 4})
    assert "output_tokens_details" not in anthropic.usage_object(TokenUsage(output_tokens=7))


def test_gemini_counts_thinking_tokens_separately_from_the_candidates() -> None:
    usage = gemini.usage_object(USAGE)

    assert (usage["candidatesTokenCount"], usage["thoughtsTokenCount"], usage["totalTokenCount"]) == (3, 4, 17)


@pytest.mark.parametrize(
    ("usage", "shape"),
    [
        (anthropic.usage_object(USAGE), MessagesUsage),
        (gemini.usage_object(USAGE), UsageMetadata),
        (openai_chat.usage_object(USAGE), CompletionUsage),
        (openai_responses.usage_object(USAGE), ResponseUsage),
    ],
)
def test_openapi_document_declares_every_token_count(usage: dict[str, Any], shape: type[ResponseModel]) -> None:
    assert shape.model_validate(usage).model_dump(exclude_none=True) == usage
