"""Fetching on a caller's behalf, attacked: from the network inside nothing comes, and of ours nothing goes out."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiohttp import web

from claude_gateway.web.fetch import Budget, Fetcher, NotFetched, TooMuch
from tests.claude_gateway.web.strangers import INSIDE, OUTSIDE, Names, Stranger, fetcher_to, stranger
from tests.workers.helpers import PATIENCE

LARGE = 1_000_000


@pytest.fixture
async def outside() -> AsyncIterator[Stranger]:
    async with stranger() as server:
        yield server


@pytest.fixture
async def inside(outside: Stranger) -> AsyncIterator[Stranger]:
    """A server of the network inside, on the same port, that gives its secret to everybody."""
    async with stranger(INSIDE, outside.port) as server:
        server.gives("/", b"secret")
        server.gives("/a.png", b"secret")
        yield server


async def fetch(fetcher: Fetcher, url: str, most: int = LARGE) -> bytes:
    return await fetcher.fetch(url, Budget(most), "a key")


async def test_what_a_stranger_gives_is_fetched(outside: Stranger) -> None:
    url = outside.gives("/a.png", b"picture")

    assert await fetch(fetcher_to(outside), url) == b"picture"


@pytest.mark.promise("fetch.nothing-of-ours")
async def test_nothing_of_ours_goes_along(outside: Stranger, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text("machine pictures.test login me password secret")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    outside.gives("/b.png", b"picture")

    await fetch(fetcher_to(outside), outside.sends_on("/a.png", "/b.png"))

    assert [request.path for request in outside.asked] == ["/a.png", "/b.png"]
    for request in outside.asked:
        assert {name.lower() for name in request.headers} == {"host", "accept", "accept-encoding", "user-agent"}


# The network inside.


@pytest.mark.promise("fetch.public-only")
@pytest.mark.parametrize(
    "host",
    [
        *(INSIDE, "inside.test", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "0", "127.1", "2130706433"),
        *("0x7f000001", "0177.0.0.1", "127.0.0.1.", "[::]", "\uff11\uff12\uff17.0.0.1", "127\u30020\u30020\u30021"),
    ],
)
async def test_no_way_of_writing_it_leads_to_the_network_inside(outside: Stranger, inside: Stranger, host: str) -> None:
    with pytest.raises(NotFetched):
        await fetch(fetcher_to(outside), f"https://{host}:{outside.port}/")

    assert inside.asked == []


async def test_a_server_that_is_not_surely_public_is_refused_without_being_told_otherwise(outside: Stranger) -> None:
    for host in (OUTSIDE, "pictures.test"):
        with pytest.raises(NotFetched):
            await fetch(Fetcher(Names()), f"https://{host}:{outside.port}/")

    assert outside.asked == []


@pytest.mark.promise("fetch.public-only")
@pytest.mark.parametrize("way", ["by its name", "by its address", "by a name that moves"])
async def test_a_redirect_to_the_network_inside_is_not_followed(outside: Stranger, inside: Stranger, way: str) -> None:
    hosts = {"by its name": "inside.test", "by its address": INSIDE, "by a name that moves": "moves.test"}
    url = outside.sends_on("/start", f"https://{hosts[way]}:{outside.port}/")

    with pytest.raises(NotFetched):
        await fetch(fetcher_to(outside, Names(**{"moves.test": [INSIDE]})), url)

    assert [request.path for request in outside.asked] == ["/start"]
    assert inside.asked == []


async def test_a_name_that_moves_inside_after_it_was_looked_up_once_is_judged_anew(
    outside: Stranger, inside: Stranger
) -> None:
    outside.gives("/a.png", b"picture", headers={"Connection": "close"})
    url = outside.url("/a.png", "moves.test")
    names = Names(**{"moves.test": [OUTSIDE, INSIDE]})
    assert await fetch(fetcher_to(outside, names), url) == b"picture"

    with pytest.raises(NotFetched):
        await fetch(fetcher_to(outside, names), url)

    assert inside.asked == []


# Redirects.


async def test_a_few_redirects_are_followed_and_take_no_cookie_along(outside: Stranger) -> None:
    outside.gives("/d", b"picture")
    outside.sends_on("/c", outside.url("/d", OUTSIDE))
    outside.sends_on("/b", "c")

    assert await fetch(fetcher_to(outside), outside.sends_on("/a", "/b")) == b"picture"
    assert not any("Cookie" in request.headers for request in outside.asked)


@pytest.mark.parametrize(
    "location",
    ["/start", "", "http://pictures.test/", "ftp://pictures.test/", "file:///etc/passwd", "data:,a", "https://[::1"],
)
async def test_a_redirect_that_leads_nowhere_ends(outside: Stranger, location: str) -> None:
    with pytest.raises(NotFetched):
        await fetch(fetcher_to(outside), outside.sends_on("/start", location))

    assert len(outside.asked) <= 4


async def test_a_redirect_with_a_user_name_is_not_followed(outside: Stranger) -> None:
    outside.gives("/b", b"picture")
    location = outside.url("/b").replace("https://", "https://me:secret@")

    with pytest.raises(NotFetched):
        await fetch(fetcher_to(outside), outside.sends_on("/a", location))


# What else a stranger may do.


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
async def test_an_answer_that_is_no_plain_200_gives_nothing(outside: Stranger, more: dict[str, object]) -> None:
    url = outside.gives("/a.png", gzip.compress(b"picture"), **more)

    with pytest.raises(NotFetched):
        await fetch(fetcher_to(outside), url)


async def test_a_body_that_says_it_is_too_large_is_not_read(outside: Stranger) -> None:
    url = outside.gives("/a.png", b"x" * 1_001)

    assert len(await fetch(fetcher_to(outside), outside.gives("/b.png", b"x" * 1_000), most=1_000)) == 1_000
    with pytest.raises(TooMuch):
        await fetch(fetcher_to(outside), url, most=1_000)


async def test_a_body_without_an_end_is_cut_off(outside: Stranger) -> None:
    cut = asyncio.Event()

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while request.transport is not None and not request.transport.is_closing():
            await response.write(b"x" * 65_536)
            await asyncio.sleep(0)
        cut.set()
        return response

    outside.answers["/a.png"] = endless

    with pytest.raises(TooMuch):
        await fetch(fetcher_to(outside), outside.url("/a.png"))

    async with asyncio.timeout(10):
        await cut.wait()


@pytest.mark.parametrize("begun", [False, True])
async def test_a_stranger_who_says_nothing_is_left(outside: Stranger, begun: bool) -> None:
    async def silent(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        if begun:
            await response.prepare(request)
            await response.write(b"x")
        await asyncio.Event().wait()
        return response

    outside.answers["/a.png"] = silent

    with pytest.raises(NotFetched):
        await fetch(fetcher_to(outside, seconds=0.2), outside.url("/a.png"))


async def test_several_urls_share_one_budget(outside: Stranger) -> None:
    url = outside.gives("/a.png", b"x" * 600)
    fetcher, budget = fetcher_to(outside), Budget(1_000)
    await fetcher.fetch(url, budget, "a key")
    with pytest.raises(TooMuch):
        await fetcher.fetch(url, budget, "a key")


async def test_a_certificate_that_nobody_vouches_for_is_not_trusted(outside: Stranger) -> None:
    trusting_nobody = Fetcher(Names(), lambda *_: True)

    with pytest.raises(NotFetched):
        await fetch(trusting_nobody, outside.gives("/a.png", b"picture"))

    assert outside.asked == []


@pytest.mark.parametrize(
    "broken",
    [
        lambda: "https://no-such-name.test/",
        lambda: "https://pictures.test:1/",
        lambda: "https://" + "a" * 300 + ".test/",
        lambda: "https://pictures.test:99999/",
    ],
)
async def test_a_url_that_leads_nowhere_gives_nothing(outside: Stranger, broken: Callable[[], str]) -> None:
    with pytest.raises(NotFetched):
        await fetch(fetcher_to(outside), broken())


async def test_servers_that_say_nothing_hold_up_no_other_key(outside: Stranger) -> None:
    """However many connections a key has open: each has its own."""
    arrived = asyncio.Semaphore(0)

    async def silent(request: web.Request) -> web.StreamResponse:
        arrived.release()
        await asyncio.Event().wait()
        return web.StreamResponse()

    outside.answers["/silent"] = silent
    url = outside.gives("/a.png", b"picture")
    fetcher = fetcher_to(outside)
    waiting = [asyncio.create_task(fetcher.fetch(outside.url("/silent"), Budget(LARGE), "evil")) for _ in range(40)]
    try:
        async with asyncio.timeout(PATIENCE):
            for _ in range(16):  # as many as a key has
                await arrived.acquire()

            assert await fetcher.fetch(url, Budget(LARGE), "another") == b"picture"
        assert not any(task.done() for task in waiting)
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
