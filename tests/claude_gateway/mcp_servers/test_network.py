"""Where a connection to a server may go: judged by the address, where it is made."""

import asyncio
import socket
from typing import Any

import httpx2
import pytest

from claude_gateway.mcp_servers.bounds import Bounds
from claude_gateway.mcp_servers.flood import Gauge, Overrun
from claude_gateway.mcp_servers.network import NotReached, Transport, http_client
from tests.claude_gateway.web.strangers import OUTSIDE, certified, stranger


def gauge(**bounds: Any) -> Gauge:
    """Of a clock that stands still."""
    return Gauge(Bounds(**bounds), lambda: 0.0, lambda _: None)


async def look_up(host: str) -> list[str]:
    """By the system, which knows every way of writing a number."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


@pytest.mark.promise("mcp.addresses")
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "0.0.0.0", "2130706433"])
async def test_a_name_of_this_machine_is_not_reached_whoever_looks_it_up(host: str) -> None:
    connections = 0

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with (await http_client(gauge(), look_up, private=False))() as client:
            with pytest.raises(NotReached, match="could not be reached"):
                await client.post(f"https://{host}:{port}/")

    assert connections == 0


async def answered(head: bytes, body: bytes, bounds: Bounds) -> tuple[httpx2.Response, bytes]:
    asked = b""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked = await reader.readuntil(b"\r\n\r\n")
        writer.write(head + b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with (await http_client(Gauge(bounds, lambda: 0.0, lambda _: None), look_up, private=True))(
            {"X-Secret": "s"}
        ) as client:
            return await client.get(f"http://localhost:{port}/a"), asked


async def test_a_server_is_asked_under_its_name_for_what_is_not_packed() -> None:
    response, asked = await answered(b"HTTP/1.1 200 OK\r\n", b"hello", Bounds())

    assert response.text == "hello"
    assert b"host: localhost:" in asked.lower()
    assert b"x-secret: s" in asked.lower()
    assert b"accept-encoding: identity" in asked.lower()


@pytest.mark.parametrize(
    ("head", "why"),
    [
        (b"HTTP/1.1 200 OK\r\n", "MCP_MESSAGE_MIB"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n", "packs"),
        (b"HTTP/1.1 401 No\r\n", "401"),
    ],
)
async def test_what_is_too_large_packed_or_a_refusal_is_no_answer(head: bytes, why: str) -> None:
    with pytest.raises((NotReached, Overrun), match=why):
        await answered(head, b"x" * 2_000, Bounds(message_bytes=1_000))


async def test_a_name_that_moves_inside_after_it_was_looked_up_once_is_judged_anew() -> None:
    """And the connection goes to the very address that was judged: nobody looks the name up again."""
    found = ["1.1.1.1"]
    judged: list[str] = []
    asked: list[str] = []

    async def look_up(host: str) -> list[str]:
        asked.append(host)
        return list(found)

    async def answer(request: httpx2.Request) -> httpx2.Response:
        judged.append(request.url.host)
        assert request.headers["host"] == "moves.example"
        assert request.extensions["sni_hostname"] == "moves.example"
        return httpx2.Response(200, text="hello")

    transport = Transport(httpx2.MockTransport(answer), gauge(), look_up, private=False)
    async with httpx2.AsyncClient(transport=transport) as client:
        assert (await client.get("https://moves.example/")).text == "hello"
        found[:] = ["1.1.1.1", "127.0.0.1"]
        with pytest.raises(NotReached):
            await client.get("https://moves.example/")

    assert (judged, asked) == (["1.1.1.1"], ["moves.example"] * 2)


@pytest.mark.parametrize(("host", "is_answered"), [("pictures.test", True), ("other.test", False)])
async def test_a_certificate_is_held_against_the_name_and_not_the_address(host: str, is_answered: bool) -> None:
    async def look_up(_: str) -> list[str]:
        return [OUTSIDE]

    async with stranger() as server:
        server.gives("/", b"hello")
        transport = Transport(httpx2.AsyncHTTPTransport(verify=certified()[1]), gauge(), look_up, private=True)
        async with httpx2.AsyncClient(transport=transport) as client:
            if is_answered:
                assert (await client.get(server.url("/", host))).text == "hello"
            else:
                with pytest.raises(httpx2.ConnectError, match="not valid for"):
                    await client.get(server.url("/", host))


async def test_events_without_end_are_not_read_on_and_nothing_is_asked_any_more() -> None:
    async def answer(_: httpx2.Request) -> httpx2.Response:
        events = b": nothing\n\n" * 40
        return httpx2.Response(200, headers={"Content-Type": "text/event-stream"}, content=events)

    transport = Transport(httpx2.MockTransport(answer), gauge(flood_lines=100), look_up, private=True)
    async with httpx2.AsyncClient(transport=transport) as client:
        assert (await client.get("http://127.0.0.1/")).status_code == 200
        for _ in range(2):
            with pytest.raises(Overrun):
                await client.get("http://127.0.0.1/")


@pytest.mark.parametrize(
    "kind", ["text/event-stream", "Text/Event-Stream; charset=utf-7", "text/event-stream;charset=utf-16"]
)
async def test_events_are_read_in_the_encoding_in_which_they_were_scanned(kind: str) -> None:
    async def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"Content-Type": kind}, content=b"data: [" + b"{}," * 2_000)

    few = Gauge(Bounds(message_values=1_000), lambda: 0.0, lambda _: None)
    transport = Transport(httpx2.MockTransport(answer), few, look_up, private=True)
    client = httpx2.AsyncClient(transport=transport)
    async with client, client.stream("GET", "http://127.0.0.1/") as response:
        assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        with pytest.raises(Overrun, match="more than 1000 values"):
            await response.aread()


async def test_the_next_address_of_a_server_is_tried_where_one_takes_no_connection() -> None:
    tried: list[str] = []

    async def answer(request: httpx2.Request) -> httpx2.Response:
        tried.append(request.url.host)
        if request.url.host == "::1":
            raise httpx2.ConnectError("refused")
        return httpx2.Response(200, content=await request.aread())

    async def both(_: str) -> list[str]:
        return ["::1", "127.0.0.1"]

    transport = Transport(httpx2.MockTransport(answer), gauge(), both, private=True)
    async with httpx2.AsyncClient(transport=transport) as client:
        assert (await client.post("http://localhost/", content=b"hello")).text == "hello"

    assert tried == ["::1", "127.0.0.1"]
