"""How many tokens went into thoughts, in the words of each dialect that has some for it."""

from typing import Any

import pytest

from claude_gateway.dialects.anthropic import encode as anthropic
from claude_gateway.dialects.gemini import encode as gemini
from claude_gateway.dialects.openai_chat import encode as openai_chat
from claude_gateway.dialects.openai_responses import response_object as openai_responses
from claude_gateway.openapi.chat import CompletionUsage
from claude_gateway.openapi.gemini import UsageMetadata
from claude_gateway.openapi.messages import MessagesUsage
from claude_gateway.openapi.operation import Answered
from claude_gateway.openapi.response_object import ResponseUsage
from workers.events import Usage

USED = Usage(input=10, output=7, thinking=4)


def test_openai_counts_them_among_the_output() -> None:
    chat, response = openai_chat.usage_object(USED), openai_responses.usage_object(USED)

    assert (chat["completion_tokens"], chat["completion_tokens_details"]) == (7, {"reasoning_tokens": 4})
    assert (response["output_tokens"], response["output_tokens_details"]) == (7, {"reasoning_tokens": 4})


def test_anthropic_counts_them_among_the_output_and_says_nothing_of_none() -> None:
    told = anthropic.usage_object(USED)

    assert (told["output_tokens"], told["output_tokens_details"]) == (7, {"thinking_tokens": 4})
    assert "output_tokens_details" not in anthropic.usage_object(Usage(output=7))


def test_google_counts_them_beside_the_candidates() -> None:
    told = gemini.usage_object(USED)

    assert (told["candidatesTokenCount"], told["thoughtsTokenCount"], told["totalTokenCount"]) == (3, 4, 17)


@pytest.mark.parametrize(
    ("told", "shape"),
    [
        (anthropic.usage_object(USED), MessagesUsage),
        (gemini.usage_object(USED), UsageMetadata),
        (openai_chat.usage_object(USED), CompletionUsage),
        (openai_responses.usage_object(USED), ResponseUsage),
    ],
)
def test_the_document_knows_every_count(told: dict[str, Any], shape: type[Answered]) -> None:
    assert shape.model_validate(told).model_dump(exclude_none=True) == told
