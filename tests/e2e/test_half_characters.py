"""Half a surrogate pair in an answer becomes U+FFFD, and the answer goes on."""

import json

import pytest

from tests.e2e.conftest import Gateway
from tests.e2e.four_dialects import DIALECTS, ask

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

TOOL = {"name": "f", "input_schema": {"type": "object"}}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_half_a_character_in_a_text_a_thought_or_a_call_becomes_a_replacement(
    gateway: Gateway, dialect: str, stream: bool
) -> None:
    prompt = r'halves {{think_json "hm \ude00"}}{{say_json "a \ud83d b \ud83d\ude00"}}{{tool f {"a": "\ud800x"}}}'
    answer = await ask(gateway.url, dialect, prompt, stream=stream, tools=[TOOL])
    assert answer.status == 200
    assert answer.text == "a \ufffd b \U0001f600"
    [(name, arguments)] = answer.calls
    assert (name, json.loads(arguments)) == ("f", {"a": "\ufffdx"})
    assert sum("halves" in str(request.body["messages"]) for request in gateway.upstream.chats) == 1
