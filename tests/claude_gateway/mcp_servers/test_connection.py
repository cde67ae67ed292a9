"""A server that goes is noticed, and tried again until it is let go."""

import asyncio
from dataclasses import replace

import pytest

from claude_gateway.mcp_servers.bounds import Bounds
from claude_gateway.mcp_servers.connection import Connection, Unreachable
from claude_gateway.mcp_servers.server import Program, Server
from tests.claude_gateway.mcp_servers.scripted import ScriptedServer, listing
from tests.workers.helpers import until
from workers.job import RemoteResult, Text

BOUNDS = Bounds(first_pause=0.001, longest_pause=0.002, relist_seconds=0)
SEEN = RemoteResult((Text("seen"),))


def connection(server: ScriptedServer, bounds: Bounds = BOUNDS) -> Connection:
    made = Connection(Server("lib", Program(("x",))), server.opened, bounds)
    made.begin()
    return made


async def test_what_the_server_has_is_known_once_it_has_shaken_hands() -> None:
    to = connection(ScriptedServer())

    assert await to.connected() == listing("look")
    assert (to.status, to.error) == ("connected", "")
    assert await to.call("look", {"at": 1}) == SEEN
    await to.close()


async def test_a_first_handshake_that_fails_says_why() -> None:
    to = connection(ScriptedServer(faults=[Unreachable("nobody")]))

    with pytest.raises(Unreachable, match="nobody"):
        await to.connected()
    await to.close()


async def test_a_handshake_that_hangs_ends() -> None:
    to = connection(ScriptedServer(faults=[asyncio.Event()]), replace(BOUNDS, connect_seconds=0.001))

    with pytest.raises(Unreachable, match="not ready"):
        await to.connected()
    await to.close()


@pytest.mark.promise("mcp.comes-back")
async def test_a_server_that_goes_is_noticed_and_connected_again() -> None:
    server = ScriptedServer()
    to = connection(server)
    await to.connected()
    server.faults = [Unreachable("not yet"), Unreachable("not yet")]
    server.has = listing("look", "search")

    server.leave()
    await until(lambda: to.status != "connected")
    told = await to.call("look", {})
    await until(lambda: to.status == "connected")

    assert told.is_error
    assert "not connected at the moment" in str(told.content)
    assert server.handshakes == 4
    assert to.reconnections == 1
    assert to.listing == listing("look", "search")
    await to.close()
    assert server.open == 0


async def test_a_call_that_finds_it_gone_is_answered_and_has_it_seen_to() -> None:
    server = ScriptedServer()
    to = connection(server)
    await to.connected()
    server.is_there = False

    told = await to.call("look", {})

    assert told.is_error
    await until(lambda: server.handshakes == 2 and to.status == "connected")
    assert await to.call("look", {}) == SEEN
    await to.close()


async def test_a_call_that_hangs_is_answered_in_its_place() -> None:
    to = connection(ScriptedServer(hangs=True), replace(BOUNDS, call_seconds=0.001))
    await to.connected()

    told = await to.call("look", {})

    assert told.is_error
    assert "did not answer" in str(told.content)
    await to.close()


async def test_tools_that_changed_are_read_again() -> None:
    server = ScriptedServer()
    to = connection(server)
    await to.connected()
    server.has = listing("other")

    server.sessions[-1].changed = True
    server.sessions[-1].stirred.set()

    await until(lambda: to.listing == listing("other"))
    assert server.handshakes == 1
    await to.close()


async def test_a_silent_server_is_asked_whether_it_is_there() -> None:
    server = ScriptedServer()
    to = connection(server, replace(BOUNDS, ping_seconds=0.001))
    await to.connected()
    server.is_there = False

    await until(lambda: server.handshakes == 2)
    await to.close()


async def test_one_that_was_lost_is_tried_at_once_for_who_asks() -> None:
    server = ScriptedServer(faults=[Unreachable("not yet")])
    to = connection(server, replace(BOUNDS, first_pause=3600, longest_pause=3600))
    await until(lambda: to.status == "reconnecting")

    assert await to.connected() == listing("look")
    await to.close()


async def test_one_that_floods_is_left_alone_until_somebody_asks_for_it() -> None:
    server = ScriptedServer()
    to = connection(server)
    await to.connected()

    server.drown()
    await until(lambda: to.status == "disconnected")

    assert (server.open, server.handshakes, to.error) == (0, 1, "it sends too much")
    assert "it sends too much" in str((await to.call("look", {})).content)
    assert await to.connected() == listing("look")
    assert (to.status, to.error, server.handshakes) == ("connected", "", 2)
    await to.close()


async def test_who_waits_for_one_that_is_let_go_is_told() -> None:
    to = connection(ScriptedServer(faults=[asyncio.Event()]))
    waiting = asyncio.create_task(to.connected())
    await asyncio.sleep(0)

    await to.close()

    with pytest.raises(Unreachable, match="disconnected"):
        await waiting
