"""Attacks that one API key can repeat; each counts its outcomes."""

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

from bench.isolation.bodies import CHAT_PATH, RESPONSES_PATH, HostileRequest, iter_hostile_requests
from bench.isolation.mcp_server import TOOL_NAME
from bench.parts import MODEL

_FOLLOWER_COUNT = 30
_DELTA_COUNT = 20_000
_SESSION_COUNT = 8
_DIRECTORY_DEPTH = 400
_SILENT_CONNECTION_COUNT = 400
_QUEUED_JOB_COUNT = 40
_REPORT_COUNT = 8
_BACKGROUND_TIMEOUT_SECONDS = 60
_POLL_INTERVAL_SECONDS = 0.5
_HOLD_SECONDS = 5
_RESPONSE_TIMEOUT_SECONDS = 120
_INCOMPLETE_REQUESTS = (
    b"GET / HTTP/1.1\r\nhost: x\r\nx-",
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nZZ\r\n",
    b"GET / HTTP/1.1\r\nhost: x\r\nexpect: tea\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00",
    b"",
)


@dataclass(slots=True)
class AttackContext:
    """Targets and means of an attack.

    Attributes:
        url: The URL of the gateway.
        api_key: The attacker's key.
        http: An HTTP session with this key.
        mcp_url: The URL of the hostile MCP server.
        bodies: The hostile requests, made before the benchmark so that making them does not disturb it.
        outcomes: The number of each outcome of each attack.
    """

    url: str
    api_key: str
    http: aiohttp.ClientSession
    mcp_url: str
    bodies: tuple[HostileRequest, ...]
    outcomes: dict[str, Counter[str]] = field(default_factory=dict)

    async def send(
        self, attack: str, method: str, path: str, *, body: Any = None, raw: bytes | None = None, **options: Any
    ) -> int:
        """Send a request, read its response and count the outcome; return the status, 0 if the connection broke."""
        status, error_name = 0, ""
        try:
            async with self.http.request(method, self.url + path, json=body, data=raw, **options) as response:
                status = response.status
                await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            error_name = type(error).__name__
        self.count_outcome(attack, error_name or str(status))
        return 0 if error_name else status

    def count_outcome(self, attack: str, outcome: str) -> None:
        """Count an outcome of an attack."""
        self.outcomes.setdefault(attack, Counter())[outcome] += 1


async def attack_bodies(context: AttackContext) -> None:
    """Send hostile bodies, three at a time, to every path that reads a body."""
    for start in range(0, len(context.bodies), 3):
        await asyncio.gather(*(_post_hostile(context, hostile) for hostile in context.bodies[start : start + 3]))


async def _post_hostile(context: AttackContext, hostile: HostileRequest) -> None:
    headers = {"content-type": "application/json", **hostile.headers}
    await context.send(f"bodies: {hostile.name}", "POST", hostile.path, raw=hostile.body, headers=headers)


async def attack_mcp_results(context: AttackContext) -> None:
    """Register an MCP server whose tool returns millions of values, and call the tool."""
    await context.send("mcp: register", "POST", "/v1/mcp/servers", body={"name": "hostile", "url": context.mcp_url})
    await context.send("mcp: connect", "POST", "/v1/mcp/connect", body={"name": "hostile"})
    prompt = f"{{{{tool mcp__hostile__{TOOL_NAME} {{}}}}}}{{{{then}}}}{{{{say done}}}}"
    body = {"model": MODEL, "enable_tools": True, "messages": [{"role": "user", "content": prompt}]}
    await context.send("mcp: call", "POST", CHAT_PATH, body=body)


async def attack_stream_followers(context: AttackContext) -> None:
    """Open many streams of one long stored response and do not read them."""
    body = {"model": MODEL, "input": f"{{{{deltas {_DELTA_COUNT}}}}}", "background": True}
    async with context.http.post(context.url + RESPONSES_PATH, json=body) as response:
        context.count_outcome("followers: response", str(response.status))
        if response.status != 200:
            return
        id_ = (await response.json())["id"]
    with suppress(TimeoutError):
        async with asyncio.timeout(_BACKGROUND_TIMEOUT_SECONDS):
            while await _get_status(context, id_) in ("queued", "in_progress"):  # noqa: ASYNC110 - no event
                await asyncio.sleep(_POLL_INTERVAL_SECONDS)
    head = (
        f"GET {RESPONSES_PATH}/{id_}?stream=true HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {context.api_key}\r\n\r\n"
    )
    await _hold_connections(context, "followers: readers", [head.encode()] * _FOLLOWER_COUNT)


async def _get_status(context: AttackContext, id_: str) -> str:
    async with context.http.get(f"{context.url}{RESPONSES_PATH}/{id_}") as response:
        return str((await response.json()).get("status")) if response.status == 200 else ""


async def attack_reports(context: AttackContext) -> None:
    """Request reports over all usage records, several at once."""
    path = "/v1/usage?from=2020-01-01&group_by=day,model,dialect,result"
    await asyncio.gather(*(context.send("reports", "GET", path) for _ in range(_REPORT_COUNT)))


async def attack_queue(context: AttackContext) -> None:
    """Send as many jobs as the queue admits, with several choices each."""
    body = {"model": MODEL, "n": 2, "messages": [{"role": "user", "content": "{{deltas 20}}{{pace 0.02}}"}]}
    await asyncio.gather(*(context.send("queue", "POST", CHAT_PATH, body=body) for _ in range(_QUEUED_JOB_COUNT)))


_session_numbers = count()


async def attack_files(context: AttackContext) -> None:
    """Create deep directories in many sessions, and delete the sessions at once."""
    start = next(_session_numbers) * _SESSION_COUNT
    names = [f"deep-{number}" for number in range(start, start + _SESSION_COUNT)]
    for branch in range(4):
        path = "/".join([f"{branch}", *["a"] * _DIRECTORY_DEPTH])
        await asyncio.gather(
            *(context.send("files: put", "PUT", f"/v1/sessions/{name}/files/{path}", raw=b"x") for name in names)
        )
    await asyncio.gather(*(context.send("files: delete", "DELETE", f"/v1/sessions/{name}") for name in names))


async def attack_connections(context: AttackContext) -> None:
    """Open connections that send nothing or an incomplete request."""
    await _hold_connections(
        context,
        "connections",
        [_INCOMPLETE_REQUESTS[number % len(_INCOMPLETE_REQUESTS)] for number in range(_SILENT_CONNECTION_COUNT)],
    )


async def _hold_connections(context: AttackContext, attack: str, payloads: list[bytes]) -> None:
    """Open a connection for each payload, send it, read nothing and keep the connections open for a while."""
    address = urlsplit(context.url)
    loop = asyncio.get_running_loop()
    with ExitStack() as stack:
        for payload in payloads:
            connection = stack.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.setblocking(False)
            try:
                async with asyncio.timeout(_HOLD_SECONDS):
                    await loop.sock_connect(connection, (address.hostname, address.port))
                    await loop.sock_sendall(connection, payload)
                context.count_outcome(attack, "open")
            except (OSError, TimeoutError) as error:
                context.count_outcome(attack, type(error).__name__)
        await asyncio.sleep(_HOLD_SECONDS)


async def attack_streams(context: AttackContext) -> None:
    """Start a streamed chat and disconnect at its beginning."""
    body = {
        "model": MODEL,
        "stream": True,
        "messages": [{"role": "user", "content": "{{deltas 200}}{{pace 0.01}}"}],
    }
    try:
        async with context.http.post(context.url + CHAT_PATH, json=body) as response:
            await response.content.readany()
            context.count_outcome("streams", str(response.status))
            response.close()
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        context.count_outcome("streams", type(error).__name__)


ATTACKS: Mapping[str, Callable[[AttackContext], Awaitable[None]]] = {
    "bodies": attack_bodies,
    "mcp": attack_mcp_results,
    "followers": attack_stream_followers,
    "reports": attack_reports,
    "queue": attack_queue,
    "files": attack_files,
    "connections": attack_connections,
    "streams": attack_streams,
}


def create_attacker_session(api_key: str) -> aiohttp.ClientSession:
    """Create an HTTP session with the attacker's key and without a limit of connections."""
    headers = {"authorization": f"Bearer {api_key}"}
    timeout = aiohttp.ClientTimeout(total=_RESPONSE_TIMEOUT_SECONDS)
    return aiohttp.ClientSession(headers=headers, timeout=timeout, connector=aiohttp.TCPConnector(limit=0))


def make_hostile_requests(size_bytes: int) -> tuple[HostileRequest, ...]:
    """Make all hostile requests in advance."""
    return tuple(iter_hostile_requests(size_bytes))
