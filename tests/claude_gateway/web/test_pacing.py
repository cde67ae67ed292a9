"""No key takes the gateway from the others by the number of its requests."""

from typing import Any

import pytest

from claude_gateway.access.request_pacing import PacingLimits, RequestPacer
from claude_gateway.stores.keys import KeyStore
from tests.claude_gateway.scripted import CHAT
from tests.claude_gateway.web.conftest import Client, Serve
from tests.claude_gateway.web.test_admin_keys import API_KEY, OWNER, bearer, make
from tests.claude_gateway.web.test_limits import PATHS, ask

# So slow that no request more comes through, and so long that a wait would be noticed.
STRICT = PacingLimits(burst=2, per_second=0.001, contended_seconds=3600, max_wait_seconds=1)


async def statuses(client: Client, headers: dict[str, str], path: str, body: Any, count: int) -> list[int]:
    return [(await ask(client, headers, path, body)).status for _ in range(count)]


@pytest.mark.parametrize("dialect", PATHS)
async def test_beside_another_key_one_that_sends_too_much_is_refused_and_the_other_is_not(
    serve: Serve, keys: KeyStore, dialect: str
) -> None:
    client = await serve(keys=keys, api_key=API_KEY, pacer=RequestPacer(STRICT))
    other = bearer((await make(client, name="other"))["key"])
    path, body = PATHS[dialect]

    assert await statuses(client, other, path, body, 1) == [200]
    assert (await statuses(client, OWNER, path, body, 6))[-2:] == [429, 429]
    assert await statuses(client, other, path, body, 1) == [200]

    response = await client.post(path, json=body, headers=OWNER)
    assert int(response.headers["Retry-After"]) > 1
    assert "more requests than the gateway takes beside those of others" in await response.text()


async def test_a_key_alone_is_not_slowed_down(serve: Serve) -> None:
    client = await serve(api_key=API_KEY, pacer=RequestPacer(STRICT))

    assert await statuses(client, OWNER, "/v1/chat/completions", CHAT, 10) == [200] * 10


async def test_a_stranger_that_guesses_keys_is_slowed_down_as_an_address(serve: Serve) -> None:
    client = await serve(api_key=API_KEY, pacer=RequestPacer(STRICT))
    await statuses(client, OWNER, "/v1/chat/completions", CHAT, 1)

    guesses = await statuses(client, bearer("wrong"), "/v1/chat/completions", CHAT, 6)

    assert (guesses[0], guesses[-1]) == (401, 429)
    assert await statuses(client, OWNER, "/v1/chat/completions", CHAT, 1) == [200]
