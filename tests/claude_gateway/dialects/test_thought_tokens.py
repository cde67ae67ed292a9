"""How many tokens went into thoughts, in the words of each dialect that has some for it."""

from claude_gateway.dialects.gemini import encode as gemini
from claude_gateway.dialects.openai_chat import encode as openai_chat
from claude_gateway.dialects.openai_responses import response_object as openai_responses
from workers.events import Usage

USED = Usage(input=10, output=7, thinking=4)


def test_openai_counts_them_among_the_output() -> None:
    chat, response = openai_chat.usage_object(USED), openai_responses.usage_object(USED)

    assert (chat["completion_tokens"], chat["completion_tokens_details"]) == (7, {"reasoning_tokens": 4})
    assert (response["output_tokens"], response["output_tokens_details"]) == (7, {"reasoning_tokens": 4})


def test_google_counts_them_beside_the_candidates() -> None:
    told = gemini.usage_object(USED)

    assert (told["candidatesTokenCount"], told["thoughtsTokenCount"], told["totalTokenCount"]) == (3, 4, 17)
