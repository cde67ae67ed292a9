"""Request pacing: a key that sends very many requests does not slow down the other keys."""

from typing import Any

import pytest

from claude_gateway.auth.key_store import KeyStore
from claude_gateway.auth.request_pacing import PacingLimits, RequestPacer
from tests.claude_gateway.scripted import CHAT_BODY, MODEL
from tests.claude_gateway.web.conftest import Client, Serve
from tests.claude_gateway.web.endpoints.test_admin_keys import ADMIN_HEADERS, API_KEY, bearer, create_key

# So slow that no further request is accepted, and so long that a test would time out if a request waited.
STRICT = PacingLimits(burst=2, per_second=0.001, contended_seconds=3600, max_wait_seconds=1)
PATHS: dict[str, tuple[str, Any]] = {
    "openai": ("/v1/chat/completions", CHAT_BODY),
    "anthropic": ("/v1/messages", {**CHAT_BODY, "max_tokens": 9}),
    "gemini": (f"/v1beta/models/{MODEL}:generateContent", {"contents": [{"parts": [{"text": "hi"}]}]}),
}


async def send_requests(client: Client, headers: dict[str, str], path: str, body: Any, count: int) -> list[int]:
    return [(await client.post(path, json=body, headers=headers)).status for _ in range(count)]


@pytest.mark.parametrize("dialect", PATHS)
async def test_key_that_sends_too_much_is_rejected_beside_another_key(
    serve: Serve, keys: KeyStore, dialect: str
) -> None:
    client = await serve(keys=keys, api_key=API_KEY, pacer=RequestPacer(STRICT))
    other_key = bearer((await create_key(client, name="other"))["key"])
    path, body = PATHS[dialect]

    assert await send_requests(client, other_key, path, body, 1) == [200]
    assert (await send_requests(client, ADMIN_HEADERS, path, body, 6))[-2:] == [429, 429]
    assert await send_requests(client, other_key, path, body, 1) == [200]

    response = await client.post(path, json=body, headers=ADMIN_HEADERS)
    assert int(response.headers["Retry-After"]) > 1
    assert "more requests than its share while other clients wait" in await response.text()


async def test_single_key_is_not_slowed_down(serve: Serve) -> None:
    client = await serve(api_key=API_KEY, pacer=RequestPacer(STRICT))

    assert await send_requests(client, ADMIN_HEADERS, "/v1/chat/completions", CHAT_BODY, 10) == [200] * 10


async def test_client_guessing_keys_is_slowed_down_by_address(serve: Serve) -> None:
    client = await serve(api_key=API_KEY, pacer=RequestPacer(STRICT))
    await send_requests(client, ADMIN_HEADERS, "/v1/chat/completions", CHAT_BODY, 1)

    statuses = await send_requests(client, bearer("wrong"), "/v1/chat/completions", CHAT_BODY, 6)

    assert (statuses[0], statuses[-1]) == (401, 429)
    assert await send_requests(client, ADMIN_HEADERS, "/v1/chat/completions", CHAT_BODY, 1) == [200]
