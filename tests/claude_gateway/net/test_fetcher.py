"""Fetching of URLs from hostile clients and servers: no access to the internal network, no leaked secret."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from claude_gateway.net.fetcher import FetchBudget, Fetcher, FetchError, FetchTooLargeError
from tests.claude_gateway.remote_server import (
    INTERNAL_ADDRESS,
    PUBLIC_ADDRESS,
    RemoteServer,
    ScriptedResolver,
    create_fetcher,
    run_remote_server,
)
from tests.workers.helpers import TIMEOUT_SECONDS

LARGE = 1_000_000


@pytest.fixture
async def outside() -> AsyncIterator[RemoteServer]:
    async with run_remote_server() as server:
        yield server


@pytest.fixture
async def inside(outside: RemoteServer) -> AsyncIterator[RemoteServer]:
    """Run a server in the internal network, on the same port, that returns a secret to every client."""
    async with run_remote_server(INTERNAL_ADDRESS, outside.port) as server:
        server.set_response("/", b"secret")
        server.set_response("/a.png", b"secret")
        yield server


async def fetch(fetcher: Fetcher, url: str, max_bytes: int = LARGE) -> bytes:
    return await fetcher.fetch(url, FetchBudget(max_bytes), "a key")


async def test_fetches_remote_file(outside: RemoteServer) -> None:
    url = outside.set_response("/a.png", b"picture")

    assert await fetch(create_fetcher(outside), url) == b"picture"


@pytest.mark.promise("fetch.no-credentials")
async def test_sends_no_credentials_or_cookies(
    outside: RemoteServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".netrc").write_text("machine pictures.test login me password secret")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    outside.set_response("/b.png", b"picture")

    await fetch(create_fetcher(outside), outside.set_redirect("/a.png", "/b.png"))

    assert [request.path for request in outside.requests] == ["/a.png", "/b.png"]
    for request in outside.requests:
        assert {name.lower() for name in request.headers} == {"host", "accept", "accept-encoding", "user-agent"}


# The internal network.


@pytest.mark.promise("fetch.public-only")
@pytest.mark.parametrize(
    "host",
    [
        *(
            INTERNAL_ADDRESS,
            "inside.test",
            "localhost",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "0.0.0.0",
            "0",
            "127.1",
            "2130706433",
        ),
        *("0x7f000001", "0177.0.0.1", "127.0.0.1.", "[::]", "\uff11\uff12\uff17.0.0.1", "127\u30020\u30020\u30021"),
    ],
)
async def test_rejects_every_notation_of_an_internal_address(
    outside: RemoteServer, inside: RemoteServer, host: str
) -> None:
    with pytest.raises(FetchError):
        await fetch(create_fetcher(outside), f"https://{host}:{outside.port}/")

    assert inside.requests == []


async def test_rejects_server_that_is_not_certainly_public(outside: RemoteServer) -> None:
    for host in (PUBLIC_ADDRESS, "pictures.test"):
        with pytest.raises(FetchError):
            await fetch(Fetcher(ScriptedResolver()), f"https://{host}:{outside.port}/")

    assert outside.requests == []


@pytest.mark.promise("fetch.public-only")
@pytest.mark.parametrize("target", ["name", "address", "name with changing address"])
async def test_does_not_follow_redirect_to_internal_network(
    outside: RemoteServer, inside: RemoteServer, target: str
) -> None:
    hosts = {"name": "inside.test", "address": INTERNAL_ADDRESS, "name with changing address": "moves.test"}
    url = outside.set_redirect("/start", f"https://{hosts[target]}:{outside.port}/")

    with pytest.raises(FetchError):
        await fetch(create_fetcher(outside, ScriptedResolver(**{"moves.test": [INTERNAL_ADDRESS]})), url)

    assert [request.path for request in outside.requests] == ["/start"]
    assert inside.requests == []


async def test_checks_the_address_of_every_connection(outside: RemoteServer, inside: RemoteServer) -> None:
    outside.set_response("/a.png", b"picture", headers={"Connection": "close"})
    url = outside.url("/a.png", "moves.test")
    names = ScriptedResolver(**{"moves.test": [PUBLIC_ADDRESS, INTERNAL_ADDRESS]})
    assert await fetch(create_fetcher(outside, names), url) == b"picture"

    with pytest.raises(FetchError):
        await fetch(create_fetcher(outside, names), url)

    assert inside.requests == []


# Redirects.


async def test_follows_a_few_redirects_without_cookies(outside: RemoteServer) -> None:
    outside.set_response("/d", b"picture")
    outside.set_redirect("/c", outside.url("/d", PUBLIC_ADDRESS))
    outside.set_redirect("/b", "c")

    assert await fetch(create_fetcher(outside), outside.set_redirect("/a", "/b")) == b"picture"
    assert not any("Cookie" in request.headers for request in outside.requests)


@pytest.mark.parametrize(
    "location",
    ["/start", "", "http://pictures.test/", "ftp://pictures.test/", "file:///etc/passwd", "data:,a", "https://[::1"],
)
async def test_rejects_endless_or_invalid_redirect(outside: RemoteServer, location: str) -> None:
    with pytest.raises(FetchError):
        await fetch(create_fetcher(outside), outside.set_redirect("/start", location))

    assert len(outside.requests) <= 4


async def test_does_not_follow_redirect_with_user_name(outside: RemoteServer) -> None:
    outside.set_response("/b", b"picture")
    location = outside.url("/b").replace("https://", "https://me:secret@")

    with pytest.raises(FetchError):
        await fetch(create_fetcher(outside), outside.set_redirect("/a", location))


# Other attacks by a remote server.


@pytest.mark.parametrize(
    "more",
    [
        {"status": 404},
        {"status": 500},
        {"status": 204},
        {"status": 206},
        {"status": 401, "headers": {"WWW-Authenticate": "Basic"}},
        {"headers": {"Content-Encoding": "gzip"}},
    ],
    ids=str,
)
async def test_rejects_any_response_but_a_plain_200(outside: RemoteServer, more: dict[str, object]) -> None:
    url = outside.set_response("/a.png", gzip.compress(b"picture"), **more)

    with pytest.raises(FetchError):
        await fetch(create_fetcher(outside), url)


async def test_does_not_read_body_whose_content_length_is_too_large(outside: RemoteServer) -> None:
    url = outside.set_response("/a.png", b"x" * 1_001)

    assert (
        len(await fetch(create_fetcher(outside), outside.set_response("/b.png", b"x" * 1_000), max_bytes=1_000))
        == 1_000
    )
    with pytest.raises(FetchTooLargeError):
        await fetch(create_fetcher(outside), url, max_bytes=1_000)


async def test_stops_reading_endless_body(outside: RemoteServer) -> None:
    disconnected = asyncio.Event()

    async def send_endless_body(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while request.transport is not None and not request.transport.is_closing():
            await response.write(b"x" * 65_536)
            await asyncio.sleep(0)
        disconnected.set()
        return response

    outside.handlers["/a.png"] = send_endless_body

    with pytest.raises(FetchTooLargeError):
        await fetch(create_fetcher(outside), outside.url("/a.png"))

    async with asyncio.timeout(10):
        await disconnected.wait()


@pytest.mark.parametrize("headers_sent", [False, True])
async def test_times_out_if_the_server_is_silent(outside: RemoteServer, headers_sent: bool) -> None:
    async def silent(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        if headers_sent:
            await response.prepare(request)
            await response.write(b"x")
        await asyncio.Event().wait()
        return response

    outside.handlers["/a.png"] = silent

    with pytest.raises(FetchError):
        await fetch(create_fetcher(outside, timeout_seconds=0.2), outside.url("/a.png"))


async def test_several_urls_share_one_budget(outside: RemoteServer) -> None:
    url = outside.set_response("/a.png", b"x" * 600)
    fetcher, budget = create_fetcher(outside), FetchBudget(1_000)
    await fetcher.fetch(url, budget, "a key")
    with pytest.raises(FetchTooLargeError):
        await fetcher.fetch(url, budget, "a key")


async def test_rejects_untrusted_certificate(outside: RemoteServer) -> None:
    fetcher = Fetcher(ScriptedResolver(), lambda *_: True)  # trusts only the authorities of the system

    with pytest.raises(FetchError):
        await fetch(fetcher, outside.set_response("/a.png", b"picture"))

    assert outside.requests == []


@pytest.mark.parametrize(
    "url",
    [
        "https://no-such-name.test/",
        "https://pictures.test:1/",
        "https://" + "a" * 300 + ".test/",
        "https://pictures.test:99999/",
    ],
)
async def test_rejects_url_that_cannot_be_reached(outside: RemoteServer, url: str) -> None:
    with pytest.raises(FetchError):
        await fetch(create_fetcher(outside), url)


async def test_silent_servers_of_a_key_do_not_block_other_keys(outside: RemoteServer) -> None:
    """Each key has its own connections, regardless of the open connections of other keys."""
    request_received = asyncio.Semaphore(0)

    async def silent(request: web.Request) -> web.StreamResponse:
        request_received.release()
        await asyncio.Event().wait()
        return web.StreamResponse()

    outside.handlers["/silent"] = silent
    url = outside.set_response("/a.png", b"picture")
    fetcher = create_fetcher(outside)
    waiting = [
        asyncio.create_task(fetcher.fetch(outside.url("/silent"), FetchBudget(LARGE), "evil")) for _ in range(40)
    ]
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            for _ in range(16):  # the number of connections of a key
                await request_received.acquire()

            assert await fetcher.fetch(url, FetchBudget(LARGE), "another") == b"picture"
        assert not any(task.done() for task in waiting)
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
