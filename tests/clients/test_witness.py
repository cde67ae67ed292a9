"""The witness changes nothing of what passes, and nothing passes it by."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from tests.clients.witness import Witness, witness


@pytest.fixture
async def seen(aiohttp_server: object) -> AsyncIterator[Witness]:
    go_on = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path == "/refused":
            return web.json_response({"error": "no"}, status=400)
        response = web.StreamResponse(headers={"x-of": request.headers["x-mine"]})
        await response.prepare(request)
        await response.write(b"first ")
        await go_on.wait()
        await response.write(await request.read())
        return response

    async def release(_: web.Request) -> web.Response:
        go_on.set()
        return web.Response()

    app = web.Application()
    app.router.add_post("/release", release)
    app.router.add_route("*", "/{path:.*}", answer)
    server = await aiohttp_server(app)  # type: ignore[operator]
    async with witness(str(server.make_url("")).rstrip("/")) as watching:
        yield watching


async def test_a_stream_passes_piece_by_piece_with_its_headers(seen: Witness) -> None:
    async with (
        asyncio.timeout(10),
        aiohttp.ClientSession() as session,
        session.post(f"{seen.url}/a%2Fb?c=d", json={"stream": True}, headers={"x-mine": "1"}) as response,
    ):
        assert response.headers["x-of"] == "1"
        assert await response.content.readany() == b"first "
        await session.post(f"{seen.url}/release")
        assert await response.read() == b'{"stream": true}'

    first, _ = seen.exchanges
    assert (first.method, first.path, first.body, first.status) == ("POST", "/a%2Fb?c=d", {"stream": True}, 200)
    assert first.streamed


async def test_a_refusal_passes_and_is_remembered(seen: Witness) -> None:
    async with aiohttp.ClientSession() as session, session.get(f"{seen.url}/refused") as response:
        assert (response.status, await response.json()) == (400, {"error": "no"})

    assert (seen.exchanges[0].status, seen.exchanges[0].error) == (400, '{"error": "no"}')


async def test_whoever_wants_to_go_elsewhere_is_refused_and_named(seen: Witness) -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientHttpProxyError):
            await session.get("https://elsewhere.example/", proxy=seen.proxy)

    assert seen.strays == ["elsewhere.example:443"]
    assert seen.exchanges == []
