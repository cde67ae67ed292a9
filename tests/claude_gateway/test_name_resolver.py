"""Names whose servers never answer hold up nobody but the key that named them."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from typing import Any

import pytest

from claude_gateway.name_resolver import NameResolver
from tests.workers.helpers import PATIENCE

_A = 1


class NameServer(asyncio.DatagramProtocol):
    """Answers each `good…` with an address, each `silent…` never, and of any other that there is none."""

    def __init__(self) -> None:
        self.asked: set[str] = set()
        self.questions: list[tuple[str, int]] = []
        self.told = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self.place = "{}:{}".format(*transport.get_extra_info("sockname"))

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        name, rest = self._name(data[12:])
        self.asked.add(name)
        self._tasks.add(asyncio.ensure_future(self._tell()))
        kind = struct.unpack("!H", rest[:2])[0]
        self.questions.append((name, kind))
        answer = b"\xc0\x0c" + struct.pack("!HHIH", _A, 1, 60, 4) + socket.inet_aton("192.0.2.7")
        question = data[12 : len(data) - len(rest) + 4]
        if name.startswith("good"):
            has = (50 if name.startswith("good-many") else 1) * (kind == _A)
            self._send(data[:2] + b"\x81\x80" + struct.pack("!HHHH", 1, has, 0, 0) + question + answer * has, address)
        elif not name.startswith("silent"):
            self._send(data[:2] + b"\x81\x83" + struct.pack("!HHHH", 1, 0, 0, 0) + question, address)

    async def until_asked(self, *names: str) -> None:
        async with asyncio.timeout(PATIENCE), self.told:
            await self.told.wait_for(lambda: self.asked.issuperset(names))

    def _send(self, data: bytes, address: tuple[str, int]) -> None:
        self._transport.sendto(data, address)

    async def _tell(self) -> None:
        async with self.told:
            self.told.notify_all()

    @staticmethod
    def _name(data: bytes) -> tuple[str, bytes]:
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
async def names(server: NameServer) -> AsyncIterator[NameResolver]:
    resolver = NameResolver([server.place], seconds=PATIENCE, at_once=3)
    yield resolver
    await resolver.aclose()


async def test_a_name_is_looked_up_and_an_address_is_what_it_is(names: NameResolver, server: NameServer) -> None:
    assert await names.addresses("me", "good.example.") == ["192.0.2.7"]
    assert await names.addresses("me", "192.0.2.9") == ["192.0.2.9"]
    assert await names.addresses("me", "::ffff:7f00:1") in (["::ffff:127.0.0.1"], ["::ffff:7f00:1"])
    assert server.asked == {"good.example"}


@pytest.mark.promise("names.apart")
async def test_names_that_are_never_answered_hold_up_no_other_key(names: NameResolver, server: NameServer) -> None:
    silent = [f"silent{number}.example" for number in range(50)]
    waiting = [asyncio.create_task(names.addresses("evil", f"{name}.")) for name in silent]
    try:
        await server.until_asked(*silent[:3])

        assert await names.addresses("me", "good.example.") == ["192.0.2.7"]
        with pytest.raises(OSError, match="no address was found"):
            await names.addresses("me", "none.example.")

        assert not any(task.done() for task in waiting)
        assert server.asked & set(silent) == set(silent[:3])  # three at once, and no more
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_key_that_has_left_its_look_ups_still_has_them_until_they_end(
    names: NameResolver, server: NameServer
) -> None:
    for number in range(3):
        asking = asyncio.create_task(names.addresses("evil", f"silent{number}.example."))
        await server.until_asked(f"silent{number}.example")
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)

    further = asyncio.create_task(names.addresses("evil", "good1.example."))
    assert await names.addresses("me", "good2.example.") == ["192.0.2.7"]
    assert "good1.example" not in server.asked

    further.cancel()
    await asyncio.gather(further, return_exceptions=True)


async def test_a_look_up_ends_in_time(server: NameServer) -> None:
    resolver = NameResolver([server.place], seconds=0.1)
    try:
        with pytest.raises(OSError, match="TimeoutError"):
            await resolver.addresses("me", "silent.example.")
    finally:
        await resolver.aclose()


@pytest.mark.parametrize("host", ["", "a..b", "x" * 300, "127.1", "2130706433", "0x7f.1", "fe80::1%", "\udcff"])
async def test_what_is_no_name_is_found_nowhere(names: NameResolver, host: str) -> None:
    with pytest.raises(OSError, match="no address was found"):
        await names.addresses("me", host)


async def test_of_many_addresses_a_few_are_taken(names: NameResolver) -> None:
    assert await names.addresses("me", "good-many.example.") == ["192.0.2.7"] * 32


async def test_what_is_remembered_is_forgotten_after_some_look_ups_and_none_is_broken_off(server: NameServer) -> None:
    resolver = NameResolver([server.place], seconds=PATIENCE, renewed=3)
    asking = asyncio.create_task(resolver.addresses("me", "silent.example."))
    await server.until_asked("silent.example")
    try:
        for asked in (1, 1, 2, 2, 2, 3):
            await resolver.addresses("me", "good.example.")
            assert server.questions.count(("good.example", _A)) == asked
        assert not asking.done()
    finally:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await resolver.aclose()
