"""The traffic recorder forwards requests unchanged, and no request gets past it."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from tests.clients.traffic_recorder import TrafficRecorder, run_traffic_recorder


@pytest.fixture
async def recorder(aiohttp_server: object) -> AsyncIterator[TrafficRecorder]:
    is_released = asyncio.Event()

    async def respond(request: web.Request) -> web.StreamResponse:
        if request.path == "/rejected":
            return web.json_response({"error": "no"}, status=400)
        response = web.StreamResponse(headers={"x-of": request.headers["x-mine"]})
        await response.prepare(request)
        await response.write(b"first ")
        await is_released.wait()
        await response.write(await request.read())
        return response

    async def release(_: web.Request) -> web.Response:
        is_released.set()
        return web.Response()

    app = web.Application()
    app.router.add_post("/release", release)
    app.router.add_route("*", "/{path:.*}", respond)
    server = await aiohttp_server(app)  # type: ignore[operator]
    async with run_traffic_recorder(str(server.make_url("")).rstrip("/")) as recorder:
        yield recorder


async def test_stream_is_forwarded_piece_by_piece_with_its_headers(recorder: TrafficRecorder) -> None:
    async with (
        asyncio.timeout(10),
        aiohttp.ClientSession() as session,
        session.post(f"{recorder.url}/a%2Fb?c=d", json={"stream": True}, headers={"x-mine": "1"}) as response,
    ):
        assert response.headers["x-of"] == "1"
        assert await response.content.readany() == b"first "
        await session.post(f"{recorder.url}/release")
        assert await response.read() == b'{"stream": true}'

    first, _ = recorder.exchanges
    assert (first.method, first.path, first.body, first.status) == ("POST", "/a%2Fb?c=d", {"stream": True}, 200)
    assert first.is_stream


async def test_rejection_is_forwarded_and_recorded(recorder: TrafficRecorder) -> None:
    async with aiohttp.ClientSession() as session, session.get(f"{recorder.url}/rejected") as response:
        assert (response.status, await response.json()) == (400, {"error": "no"})

    assert (recorder.exchanges[0].status, recorder.exchanges[0].error) == (400, '{"error": "no"}')


async def test_request_to_another_host_is_rejected_and_recorded(recorder: TrafficRecorder) -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientHttpProxyError):
            await session.get("https://elsewhere.example/", proxy=recorder.proxy_url)

    assert recorder.contacted_hosts == ["elsewhere.example:443"]
    assert recorder.exchanges == []
