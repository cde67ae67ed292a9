"""Half a surrogate pair in a reply becomes U+FFFD, and the reply continues."""

import json

import pytest

from tests.e2e.helpers.dialect_requests import DIALECTS, ask
from tests.e2e.helpers.gateway import Gateway

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

TOOL = {"name": "f", "input_schema": {"type": "object"}}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_half_a_surrogate_pair_becomes_a_replacement_character(
    gateway: Gateway, dialect: str, stream: bool
) -> None:
    prompt = r'halves {{think_json "hm \ude00"}}{{say_json "a \ud83d b \ud83d\ude00"}}{{tool f {"a": "\ud800x"}}}'
    response = await ask(gateway.url, dialect, prompt, stream=stream, tools=[TOOL])
    assert response.status == 200
    assert response.text == "a \ufffd b \U0001f600"
    [(name, arguments)] = response.calls
    assert (name, json.loads(arguments)) == ("f", {"a": "\ufffdx"})
    assert sum("halves" in str(request.body["messages"]) for request in gateway.upstream.chat_requests) == 1
