"""The attacks: each a loop that one key can keep up, and a count of what came back."""

import asyncio
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from bench.neighbour.bodies import CHAT, RESPONSES, Hostile, hostile_bodies
from bench.neighbour.mcp_server import TOOL
from bench.parts import MODEL

_FOLLOWERS = 30
_DELTAS = 20_000
_SESSIONS = 8
_DEPTH = 400
_SILENT = 400
_AT_ONCE = 40
_REPORTS = 8
_BACKGROUND_SECONDS = 60
_LOOK_SECONDS = 0.5
_HELD_SECONDS = 5
_ANSWER_SECONDS = 120
_HALF_HEADS = (
    b"GET / HTTP/1.1\r\nhost: x\r\nx-",
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nZZ\r\n",
    b"GET / HTTP/1.1\r\nhost: x\r\nexpect: tea\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00",
    b"",
)


@dataclass(slots=True)
class World:
    """What an attack needs: the gateway, the attacker's session with its key in it, a hostile server's URL, and the
    bodies, made beforehand so that making them takes nothing from what is measured."""

    url: str
    key: str
    http: aiohttp.ClientSession
    mcp_url: str
    bodies: tuple[Hostile, ...]
    seen: dict[str, Counter[str]] = field(default_factory=dict)

    async def send(
        self, attack: str, method: str, path: str, *, body: Any = None, raw: bytes | None = None, **more: Any
    ) -> int:
        """One request, read to its end; its status, which is counted, 0 where the connection broke."""
        status, name = 0, ""
        try:
            async with self.http.request(method, self.url + path, json=body, data=raw, **more) as response:
                status = response.status
                await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            name = type(error).__name__
        self.note(attack, name or str(status))
        return 0 if name else status

    def note(self, attack: str, what: str) -> None:
        self.seen.setdefault(attack, Counter())[what] += 1


async def bodies(world: World) -> None:
    """Hostile bodies, three at a time, on every path that reads one."""
    for first in range(0, len(world.bodies), 3):
        await asyncio.gather(*(_post(world, one) for one in world.bodies[first : first + 3]))


async def _post(world: World, one: Hostile) -> None:
    headers = {"content-type": "application/json", **one.headers}
    await world.send(f"bodies: {one.name}", "POST", one.path, raw=one.body, headers=headers)


async def mcp_messages(world: World) -> None:
    """A server of the attacker's own, whose tool answers with millions of values."""
    await world.send("mcp: register", "POST", "/v1/mcp/servers", body={"name": "hostile", "url": world.mcp_url})
    await world.send("mcp: connect", "POST", "/v1/mcp/connect", body={"name": "hostile"})
    asked = f"{{{{tool mcp__hostile__{TOOL} {{}}}}}}{{{{then}}}}{{{{say done}}}}"
    body = {"model": MODEL, "enable_tools": True, "messages": [{"role": "user", "content": asked}]}
    await world.send("mcp: call", "POST", CHAT, body=body)


async def followers(world: World) -> None:
    """Readers of one long response who do not read."""
    body = {"model": MODEL, "input": f"{{{{deltas {_DELTAS}}}}}", "background": True}
    async with world.http.post(world.url + RESPONSES, json=body) as response:
        world.note("followers: response", str(response.status))
        if response.status != 200:
            return
        id_ = (await response.json())["id"]
    with suppress(TimeoutError):
        async with asyncio.timeout(_BACKGROUND_SECONDS):
            while await _status_of(world, id_) in ("queued", "in_progress"):  # noqa: ASYNC110 - of a process
                await asyncio.sleep(_LOOK_SECONDS)
    head = f"GET {RESPONSES}/{id_}?stream=true HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {world.key}\r\n\r\n"
    await _hold(world, "followers: readers", [head.encode()] * _FOLLOWERS)


async def _status_of(world: World, id_: str) -> str:
    async with world.http.get(f"{world.url}{RESPONSES}/{id_}") as response:
        return str((await response.json()).get("status")) if response.status == 200 else ""


async def reports(world: World) -> None:
    """Reports over every line of the ledger, several at once."""
    path = "/v1/usage?from=2020-01-01&group_by=day,model,dialect,result"
    await asyncio.gather(*(world.send("reports", "GET", path) for _ in range(_REPORTS)))


async def queue_flood(world: World) -> None:
    """As many jobs as the queue takes, of several answers each."""
    body = {"model": MODEL, "n": 2, "messages": [{"role": "user", "content": "{{deltas 20}}{{pace 0.02}}"}]}
    await asyncio.gather(*(world.send("queue", "POST", CHAT, body=body) for _ in range(_AT_ONCE)))


_session_numbers = count()


async def files(world: World) -> None:
    """Deep directories in many sessions, deleted at once."""
    first = next(_session_numbers) * _SESSIONS
    names = [f"deep-{number}" for number in range(first, first + _SESSIONS)]
    for branch in range(4):
        path = "/".join([f"{branch}", *["a"] * _DEPTH])
        await asyncio.gather(
            *(world.send("files: put", "PUT", f"/v1/sessions/{name}/files/{path}", raw=b"x") for name in names)
        )
    await asyncio.gather(*(world.send("files: delete", "DELETE", f"/v1/sessions/{name}") for name in names))


async def connections(world: World) -> None:
    """Connections that say nothing, or half of something."""
    await _hold(world, "connections", [_HALF_HEADS[number % len(_HALF_HEADS)] for number in range(_SILENT)])


async def _hold(world: World, attack: str, heads: list[bytes]) -> None:
    """Connections that send these beginnings and read nothing."""
    address = urlsplit(world.url)
    loop = asyncio.get_running_loop()
    with ExitStack() as held:
        for head in heads:
            one = held.enter_context(socket.socket())
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            one.setblocking(False)
            try:
                async with asyncio.timeout(_HELD_SECONDS):
                    await loop.sock_connect(one, (address.hostname, address.port))
                    await loop.sock_sendall(one, head)
                world.note(attack, "open")
            except (OSError, TimeoutError) as error:
                world.note(attack, type(error).__name__)
        await asyncio.sleep(_HELD_SECONDS)


async def streams(world: World) -> None:
    """Answers whose reader leaves at their beginning."""
    body = {
        "model": MODEL,
        "stream": True,
        "messages": [{"role": "user", "content": "{{deltas 200}}{{pace 0.01}}"}],
    }
    try:
        async with world.http.post(world.url + CHAT, json=body) as response:
            await response.content.readany()
            world.note("streams", str(response.status))
            response.close()
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        world.note("streams", type(error).__name__)


ATTACKS: Mapping[str, Callable[[World], Awaitable[None]]] = {
    "bodies": bodies,
    "mcp": mcp_messages,
    "followers": followers,
    "reports": reports,
    "queue": queue_flood,
    "files": files,
    "connections": connections,
    "streams": streams,
}


def client_of(key: str) -> aiohttp.ClientSession:
    headers = {"authorization": f"Bearer {key}"}
    timeout = aiohttp.ClientTimeout(total=_ANSWER_SECONDS)
    return aiohttp.ClientSession(headers=headers, timeout=timeout, connector=aiohttp.TCPConnector(limit=0))


def make_bodies(size: int) -> tuple[Hostile, ...]:
    return tuple(hostile_bodies(size))
