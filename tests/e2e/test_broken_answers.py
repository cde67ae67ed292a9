"""The upstream breaks off in the middle of an answer: each dialect's stream breaks off, and the ledger says so."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from claude_gateway.stores.db import DATABASE
from tests.e2e.conftest import API_KEY, MODEL, Gateway, gateway_on
from tests.e2e.test_upstream_trouble import next_request_works

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

# What stands before the cut is a whole block, so that the CLI cannot begin the answer again unseen.
CUT = "a b c {{think hm}}{{break 1}}{{times 1}}"
MESSAGES = [{"role": "user", "content": CUT}]
CONTENTS = [{"role": "user", "parts": [{"text": CUT}]}]
REQUESTS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", {"messages": MESSAGES}),
    "responses": ("/v1/responses", {"input": CUT, "store": False}),
    "messages": ("/v1/messages", {"messages": MESSAGES, "max_tokens": 50}),
    "gemini": (f"/v1beta/models/{MODEL}:streamGenerateContent?alt=sse", {"contents": CONTENTS}),
}


@pytest.mark.parametrize("name", REQUESTS)
async def test_a_stream_breaks_off_and_is_cut_in_the_ledger(gateway: Gateway, tmp_path: Path, name: str) -> None:
    path, body = REQUESTS[name]
    thinking = {} if name == "gemini" else {"reasoning_effort": "low"}
    headers = {"authorization": f"Bearer {API_KEY}", "x-request-id": "the-one-that-breaks"}
    async with gateway_on(gateway.upstream, tmp_path, chat_workers=1) as own:
        async with (
            aiohttp.ClientSession(own.url, headers=headers) as session,
            session.post(path, json={"model": MODEL, "stream": True, **thinking, **body}) as response,
        ):
            assert response.status == 200
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.text()
        await next_request_works(own)

    with closing(sqlite3.connect(tmp_path / DATABASE)) as database:
        found = database.execute("SELECT result FROM ledger WHERE request_id = 'the-one-that-breaks'").fetchall()
    assert found == [("cut",)]


@pytest.mark.parametrize("name", REQUESTS)
async def test_an_answer_that_is_not_streamed_is_asked_for_again(gateway: Gateway, name: str) -> None:
    path, body = REQUESTS[name]
    path = path.replace(":streamGenerateContent?alt=sse", ":generateContent")
    headers = {"authorization": f"Bearer {API_KEY}"}
    async with (
        aiohttp.ClientSession(gateway.url, headers=headers) as session,
        session.post(path, json={"model": MODEL, **body}) as response,
    ):
        assert (response.status, "a b c" in await response.text()) == (200, True)
