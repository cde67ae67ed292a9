"""No body that a client sends keeps the event loop from answering others.

The gateway is a process of its own, and so is the one that asks it for its health.
"""

import asyncio
import io
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from claude_gateway.demo.upstream import StandIn, stand_in
from tests.e2e.conftest import API_KEY
from tests.e2e.hostile_bodies import PATHS, Hostile, bodies
from tests.e2e.test_start_and_stop import address, for_stand_in, serving

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

MAX_STALL_SECONDS = 0.25
BODY_BYTES = 5_000_000
# A busy machine delays an answer too, and not three times in a row at the same body.
ATTEMPTS = 3
# What is accepted runs on; the client leaves.
ANSWER_SECONDS = 10
WATCH = """
import http.client, json, select, sys, time
host, port = sys.argv[1].removeprefix("http://").split(":")
connection, worst = http.client.HTTPConnection(host, int(port), timeout=120), 0.0
print("asking", flush=True)
while not select.select([sys.stdin], [], [], 0.01)[0]:
    began = time.monotonic()
    connection.request("GET", "/health/live")
    assert connection.getresponse().read()
    worst = max(worst, time.monotonic() - began)
print(json.dumps(worst))
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    directory: Path = tmp_path_factory.mktemp("gateway")
    async with stand_in() as upstream, serving(directory, _environment(upstream)) as process:
        url = await address(process)
        assert process.stderr is not None
        log = asyncio.create_task(process.stderr.read())
        yield url
        log.cancel()


def _environment(upstream: StandIn) -> dict[str, str]:
    return for_stand_in(upstream) | {"API_KEY": API_KEY, "LOG_LEVEL": "warning"}


class Watch:
    worst = 0.0


@asynccontextmanager
async def watched(url: str) -> AsyncIterator[Watch]:
    """`worst` is the longest answer of `/health/live` during a `with`, once it is left."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", WATCH, url), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    await process.stdout.readline()
    watch = Watch()
    try:
        yield watch
        told, _ = await process.communicate(b"\n")
        watch.worst = json.loads(told)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def new_key(session: aiohttp.ClientSession, url: str) -> str:
    """A key that has spent nothing of its time."""
    wanted = {"name": "hostile", "scopes": ["chat", "tools", "mcp", "admin"]}
    headers = {"authorization": f"Bearer {API_KEY}"}
    async with session.post(f"{url}/v1/admin/keys", json=wanted, headers=headers) as response:
        key: str = (await response.json())["key"]
        return key


async def status_of(session: aiohttp.ClientSession, url: str, method: str, path: str, body: Hostile) -> int | None:
    """None where the client left before there was an answer."""
    key = await new_key(session, url)
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json", **body.headers}
    try:
        async with session.request(method, url + path, data=io.BytesIO(body.raw), headers=headers) as response:
            await response.read()
            return response.status
    except (TimeoutError, aiohttp.ClientConnectionError):
        return None  # a body that is not read any further may end its connection


@pytest.mark.promise("requests.no-stall")
@pytest.mark.parametrize("name", PATHS)
async def test_no_body_keeps_others_waiting(url: str, name: str) -> None:
    method, path, _ = PATHS[name]
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
    stalls, statuses = {}, {}
    async with aiohttp.ClientSession(timeout=timeout) as session:
        for body in bodies(name, BODY_BYTES):
            for _ in range(ATTEMPTS):
                async with watched(url) as watch:
                    statuses[body.name] = await status_of(session, url, method, path, body)
                if watch.worst <= MAX_STALL_SECONDS:
                    break
            else:
                stalls[body.name] = round(watch.worst, 3)

    assert stalls == {}
    assert [body for body, status in statuses.items() if status is not None and status >= 500] == []
