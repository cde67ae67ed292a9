"""HTTP transport of MCP servers: address checks at the connection, and limits of responses."""

import asyncio
import socket
from typing import Any

import httpx2
import pytest

from claude_gateway.mcp_servers.http_transport import RestrictedTransport, TransportFailed, create_http_client_factory
from claude_gateway.mcp_servers.inbound_limit import InboundLimiter, InboundLimitExceeded
from claude_gateway.mcp_servers.limits import McpLimits
from tests.claude_gateway.remote_server import PUBLIC_ADDRESS, create_ssl_contexts, run_remote_server


def create_limiter(**limits: Any) -> InboundLimiter:
    """Create a limiter whose clock does not move."""
    return InboundLimiter(McpLimits(**limits), lambda: 0.0, lambda _: None)


async def resolve(host: str) -> list[str]:
    """Resolve with the system resolver, which accepts every notation of an address."""
    infos = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in infos]


@pytest.mark.promise("mcp.addresses")
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "0.0.0.0", "2130706433"])
async def test_rejects_loopback_addresses_in_every_notation(host: str) -> None:
    connections = 0

    async def count_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        writer.close()

    async with await asyncio.start_server(count_connection, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with (await create_http_client_factory(create_limiter(), resolve, allow_private=False))() as client:
            with pytest.raises(TransportFailed, match="could not be reached"):
                await client.post(f"https://{host}:{port}/")

    assert connections == 0


async def request_raw(head: bytes, body: bytes, limits: McpLimits) -> tuple[httpx2.Response, bytes]:
    request_head = b""

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal request_head
        request_head = await reader.readuntil(b"\r\n\r\n")
        writer.write(head + b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(respond, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with (
            await create_http_client_factory(
                InboundLimiter(limits, lambda: 0.0, lambda _: None), resolve, allow_private=True
            )
        )({"X-Secret": "s"}) as client:
            return await client.get(f"http://localhost:{port}/a"), request_head


async def test_sends_host_name_and_headers_and_refuses_compression() -> None:
    response, request_head = await request_raw(b"HTTP/1.1 200 OK\r\n", b"hello", McpLimits())

    assert response.text == "hello"
    assert b"host: localhost:" in request_head.lower()
    assert b"x-secret: s" in request_head.lower()
    assert b"accept-encoding: identity" in request_head.lower()


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (b"HTTP/1.1 200 OK\r\n", "MAX_MCP_MESSAGE_MIB"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n", "compressed"),
        (b"HTTP/1.1 401 No\r\n", "401"),
    ],
)
async def test_rejects_too_large_or_compressed_or_failed_response(head: bytes, reason: str) -> None:
    with pytest.raises((TransportFailed, InboundLimitExceeded), match=reason):
        await request_raw(head, b"x" * 2_000, McpLimits(max_message_bytes=1_000))


async def test_connects_to_the_checked_address_without_another_lookup() -> None:
    addresses = ["1.1.1.1"]
    connected_hosts: list[str] = []
    resolved_names: list[str] = []

    async def resolve(host: str) -> list[str]:
        resolved_names.append(host)
        return list(addresses)

    async def respond(request: httpx2.Request) -> httpx2.Response:
        connected_hosts.append(request.url.host)
        assert request.headers["host"] == "moves.example"
        assert request.extensions["sni_hostname"] == "moves.example"
        return httpx2.Response(200, text="hello")

    transport = RestrictedTransport(httpx2.MockTransport(respond), create_limiter(), resolve, allow_private=False)
    async with httpx2.AsyncClient(transport=transport) as client:
        assert (await client.get("https://moves.example/")).text == "hello"
        addresses[:] = ["1.1.1.1", "127.0.0.1"]
        with pytest.raises(TransportFailed):
            await client.get("https://moves.example/")

    assert (connected_hosts, resolved_names) == (["1.1.1.1"], ["moves.example"] * 2)


@pytest.mark.parametrize(("host", "is_accepted"), [("pictures.test", True), ("other.test", False)])
async def test_verifies_the_certificate_against_the_name(host: str, is_accepted: bool) -> None:
    async def resolve(_: str) -> list[str]:
        return [PUBLIC_ADDRESS]

    async with run_remote_server() as server:
        server.set_response("/", b"hello")
        transport = RestrictedTransport(
            httpx2.AsyncHTTPTransport(verify=create_ssl_contexts()[1]), create_limiter(), resolve, allow_private=True
        )
        async with httpx2.AsyncClient(transport=transport) as client:
            if is_accepted:
                assert (await client.get(server.url("/", host))).text == "hello"
            else:
                with pytest.raises(httpx2.ConnectError, match="not valid for"):
                    await client.get(server.url("/", host))


async def test_stops_reading_endless_events_and_sends_no_further_request() -> None:
    async def respond(_: httpx2.Request) -> httpx2.Response:
        events = b": nothing\n\n" * 40
        return httpx2.Response(200, headers={"Content-Type": "text/event-stream"}, content=events)

    transport = RestrictedTransport(
        httpx2.MockTransport(respond), create_limiter(max_inbound_lines=100), resolve, allow_private=True
    )
    async with httpx2.AsyncClient(transport=transport) as client:
        assert (await client.get("http://127.0.0.1/")).status_code == 200
        for _ in range(2):
            with pytest.raises(InboundLimitExceeded):
                await client.get("http://127.0.0.1/")


@pytest.mark.parametrize(
    "content_type", ["text/event-stream", "Text/Event-Stream; charset=utf-7", "text/event-stream;charset=utf-16"]
)
async def test_decodes_events_in_the_encoding_that_was_scanned(content_type: str) -> None:
    async def respond(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"Content-Type": content_type}, content=b"data: [" + b"{}," * 2_000)

    limiter = create_limiter(max_message_values=1_000)
    transport = RestrictedTransport(httpx2.MockTransport(respond), limiter, resolve, allow_private=True)
    client = httpx2.AsyncClient(transport=transport)
    async with client, client.stream("GET", "http://127.0.0.1/") as response:
        assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        with pytest.raises(InboundLimitExceeded, match="more than 1000 values"):
            await response.aread()


async def test_tries_the_next_address_if_a_connection_fails() -> None:
    tried_addresses: list[str] = []

    async def respond(request: httpx2.Request) -> httpx2.Response:
        tried_addresses.append(request.url.host)
        if request.url.host == "::1":
            raise httpx2.ConnectError("refused")
        return httpx2.Response(200, content=await request.aread())

    async def resolve_both(_: str) -> list[str]:
        return ["::1", "127.0.0.1"]

    transport = RestrictedTransport(httpx2.MockTransport(respond), create_limiter(), resolve_both, allow_private=True)
    async with httpx2.AsyncClient(transport=transport) as client:
        assert (await client.post("http://localhost/", content=b"hello")).text == "hello"

    assert tried_addresses == ["::1", "127.0.0.1"]
