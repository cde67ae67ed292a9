"""The upstream breaks off in the middle of a reply: the client's stream breaks off, and the usage record says so."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from claude_gateway.storage.database import DATABASE_FILE_NAME
from tests.e2e.helpers.gateway import API_KEY, MODEL, Gateway, run_gateway_on
from tests.e2e.helpers.upstream_requests import check_next_request_works

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

# A whole block precedes the interruption, so that the CLI cannot start the reply again unnoticed.
PROMPT = "a b c {{think hm}}{{break 1}}{{times 1}}"
MESSAGES = [{"role": "user", "content": PROMPT}]
CONTENTS = [{"role": "user", "parts": [{"text": PROMPT}]}]
REQUESTS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", {"messages": MESSAGES}),
    "responses": ("/v1/responses", {"input": PROMPT, "store": False}),
    "messages": ("/v1/messages", {"messages": MESSAGES, "max_tokens": 50}),
    "gemini": (f"/v1beta/models/{MODEL}:streamGenerateContent?alt=sse", {"contents": CONTENTS}),
}


@pytest.mark.parametrize("name", REQUESTS)
async def test_interrupted_stream_breaks_off_and_is_recorded_as_such(
    gateway: Gateway, tmp_path: Path, name: str
) -> None:
    path, body = REQUESTS[name]
    thinking = {} if name == "gemini" else {"reasoning_effort": "low"}
    headers = {"authorization": f"Bearer {API_KEY}", "x-request-id": "the-one-that-breaks"}
    async with run_gateway_on(gateway.upstream, tmp_path, chat_workers=1) as own_gateway:
        async with (
            aiohttp.ClientSession(own_gateway.url, headers=headers) as session,
            session.post(path, json={"model": MODEL, "stream": True, **thinking, **body}) as response,
        ):
            assert response.status == 200
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.text()
        await check_next_request_works(own_gateway)

    with closing(sqlite3.connect(tmp_path / DATABASE_FILE_NAME)) as database:
        rows = database.execute("SELECT result FROM usage_records WHERE request_id = 'the-one-that-breaks'").fetchall()
    assert rows == [("upstream_disconnected",)]


@pytest.mark.parametrize("name", REQUESTS)
async def test_interrupted_reply_without_streaming_is_retried(gateway: Gateway, name: str) -> None:
    path, body = REQUESTS[name]
    path = path.replace(":streamGenerateContent?alt=sse", ":generateContent")
    headers = {"authorization": f"Bearer {API_KEY}"}
    async with (
        aiohttp.ClientSession(gateway.url, headers=headers) as session,
        session.post(path, json={"model": MODEL, **body}) as response,
    ):
        assert (response.status, "a b c" in await response.text()) == (200, True)
