"""Name lookups with separate limits for each key."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from typing import Any

import pytest

from claude_gateway.net.name_resolver import NameResolver
from tests.workers.helpers import TIMEOUT_SECONDS

_A = 1


class NameServer(asyncio.DatagramProtocol):
    """A name server with addresses for `good…`, no response for `silent…` and NXDOMAIN for other names."""

    def __init__(self) -> None:
        self.queried_names: set[str] = set()
        self.queries: list[tuple[str, int]] = []
        self._query_received = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self.address = "{}:{}".format(*transport.get_extra_info("sockname"))

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        name, rest = self._parse_name(data[12:])
        self.queried_names.add(name)
        self._tasks.add(asyncio.ensure_future(self._notify()))
        record_type = struct.unpack("!H", rest[:2])[0]
        self.queries.append((name, record_type))
        record = b"\xc0\x0c" + struct.pack("!HHIH", _A, 1, 60, 4) + socket.inet_aton("192.0.2.7")
        question = data[12 : len(data) - len(rest) + 4]
        if name.startswith("good"):
            count = (50 if name.startswith("good-many") else 1) * (record_type == _A)
            header = data[:2] + b"\x81\x80" + struct.pack("!HHHH", 1, count, 0, 0)
            self._send(header + question + record * count, address)
        elif not name.startswith("silent"):
            self._send(data[:2] + b"\x81\x83" + struct.pack("!HHHH", 1, 0, 0, 0) + question, address)

    async def wait_queried(self, *names: str) -> None:
        async with asyncio.timeout(TIMEOUT_SECONDS), self._query_received:
            await self._query_received.wait_for(lambda: self.queried_names.issuperset(names))

    def _send(self, data: bytes, address: tuple[str, int]) -> None:
        self._transport.sendto(data, address)

    async def _notify(self) -> None:
        async with self._query_received:
            self._query_received.notify_all()

    @staticmethod
    def _parse_name(data: bytes) -> tuple[str, bytes]:
        labels = []
        while length := data[0]:
            labels.append(data[1 : 1 + length].decode())
            data = data[1 + length :]
        return ".".join(labels), data[1:]


@pytest.fixture
async def server() -> AsyncIterator[NameServer]:
    transport, server = await asyncio.get_running_loop().create_datagram_endpoint(NameServer, ("127.0.0.1", 0))
    yield server
    transport.close()


@pytest.fixture
async def resolver(server: NameServer) -> AsyncIterator[NameResolver]:
    resolver = NameResolver([server.address], timeout_seconds=TIMEOUT_SECONDS, max_concurrent=3)
    yield resolver
    await resolver.aclose()


async def test_resolves_name_and_returns_literal_address(resolver: NameResolver, server: NameServer) -> None:
    assert await resolver.resolve("me", "good.example.") == ["192.0.2.7"]
    assert await resolver.resolve("me", "192.0.2.9") == ["192.0.2.9"]
    assert await resolver.resolve("me", "::ffff:7f00:1") in (["::ffff:127.0.0.1"], ["::ffff:7f00:1"])
    assert server.queried_names == {"good.example"}


@pytest.mark.promise("names.keys-independent")
async def test_unanswered_names_do_not_block_other_keys(resolver: NameResolver, server: NameServer) -> None:
    silent = [f"silent{number}.example" for number in range(50)]
    waiting = [asyncio.create_task(resolver.resolve("evil", f"{name}.")) for name in silent]
    try:
        await server.wait_queried(*silent[:3])

        assert await resolver.resolve("me", "good.example.") == ["192.0.2.7"]
        with pytest.raises(OSError, match="no address was found"):
            await resolver.resolve("me", "none.example.")

        assert not any(task.done() for task in waiting)
        assert server.queried_names & set(silent) == set(silent[:3])  # at most three at one time
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_abandoned_lookups_count_for_their_key_until_they_end(resolver: NameResolver, server: NameServer) -> None:
    for number in range(3):
        lookup = asyncio.create_task(resolver.resolve("evil", f"silent{number}.example."))
        await server.wait_queried(f"silent{number}.example")
        lookup.cancel()
        await asyncio.gather(lookup, return_exceptions=True)

    waiting_lookup = asyncio.create_task(resolver.resolve("evil", "good1.example."))
    assert await resolver.resolve("me", "good2.example.") == ["192.0.2.7"]
    assert "good1.example" not in server.queried_names

    waiting_lookup.cancel()
    await asyncio.gather(waiting_lookup, return_exceptions=True)


async def test_lookup_times_out(server: NameServer) -> None:
    resolver = NameResolver([server.address], timeout_seconds=0.1)
    try:
        with pytest.raises(OSError, match="TimeoutError"):
            await resolver.resolve("me", "silent.example.")
    finally:
        await resolver.aclose()


@pytest.mark.parametrize("host", ["", "a..b", "x" * 300, "127.1", "2130706433", "0x7f.1", "fe80::1%", "\udcff"])
async def test_finds_no_address_for_invalid_name(resolver: NameResolver, host: str) -> None:
    with pytest.raises(OSError, match="no address was found"):
        await resolver.resolve("me", host)


async def test_returns_at_most_a_few_addresses(resolver: NameResolver) -> None:
    assert await resolver.resolve("me", "good-many.example.") == ["192.0.2.7"] * 32


async def test_drops_the_cache_after_some_lookups_without_interrupting_any(server: NameServer) -> None:
    resolver = NameResolver([server.address], timeout_seconds=TIMEOUT_SECONDS, max_lookups=3)
    lookup = asyncio.create_task(resolver.resolve("me", "silent.example."))
    await server.wait_queried("silent.example")
    try:
        for expected_queries in (1, 1, 2, 2, 2, 3):
            await resolver.resolve("me", "good.example.")
            assert server.queries.count(("good.example", _A)) == expected_queries
        assert not lookup.done()
    finally:
        lookup.cancel()
        await asyncio.gather(lookup, return_exceptions=True)
        await resolver.aclose()
