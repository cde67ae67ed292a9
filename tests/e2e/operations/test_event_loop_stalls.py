"""No request body keeps the event loop from answering other clients.

The gateway runs in one process, and another process polls its health.
"""

import asyncio
import io
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from claude_gateway.devtools.fake_anthropic.server import FakeAnthropic, run_fake_anthropic
from tests.e2e.helpers.gateway import API_KEY
from tests.e2e.helpers.gateway_process import fake_api_env, read_gateway_url, run_gateway_process
from tests.e2e.helpers.hostile_bodies import PATHS, HostileBody, make_hostile_bodies

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

MAX_STALL_SECONDS = 0.25
BODY_BYTES = 5_000_000
# A busy disk delays a response, too, but not three times in a row at the same body. Time in which the kernel ran other
# processes instead of these two does not count: /proc/PID/schedstat names it, for the main thread, in nanoseconds.
ATTEMPTS = 3
# The client disconnects after this time if the gateway accepted the body and the job runs.
CLIENT_TIMEOUT_SECONDS = 10
WATCH = """
import http.client, json, select, sys, time
host, port = sys.argv[1].removeprefix("http://").split(":")
connection, worst = http.client.HTTPConnection(host, int(port), timeout=120), 0.0
def waited():
    return sum(int(open(f"/proc/{pid}/schedstat").read().split()[1]) / 1e9 for pid in ("self", sys.argv[2]))
print("asking", flush=True)
while not select.select([sys.stdin], [], [], 0.01)[0]:
    began = time.monotonic() - waited()
    connection.request("GET", "/health/live")
    assert connection.getresponse().read()
    worst = max(worst, time.monotonic() - waited() - began)
print(json.dumps(worst))
"""


@dataclass(frozen=True)
class PolledGateway:
    """URL and pid of a gateway that runs in its own process."""

    url: str
    pid: int


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PolledGateway]:
    directory: Path = tmp_path_factory.mktemp("gateway")
    async with run_fake_anthropic() as upstream, run_gateway_process(directory, _environment(upstream)) as process:
        url = await read_gateway_url(process)
        assert process.stderr is not None
        log = asyncio.create_task(process.stderr.read())
        yield PolledGateway(url, process.pid)
        log.cancel()


def _environment(upstream: FakeAnthropic) -> dict[str, str]:
    return fake_api_env(upstream) | {"API_KEY": API_KEY, "LOG_LEVEL": "warning"}


class StallMeasurement:
    worst = 0.0


@asynccontextmanager
async def measure_stalls(gateway: PolledGateway) -> AsyncIterator[StallMeasurement]:
    """Measure the longest response time of `/health/live` during the `with` block; set at its end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", WATCH, gateway.url, str(gateway.pid)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    await process.stdout.readline()
    watch = StallMeasurement()
    try:
        yield watch
        output, _ = await process.communicate(b"\n")
        watch.worst = json.loads(output)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def create_key(session: aiohttp.ClientSession, url: str) -> str:
    """Create a key that has used nothing of its processing time."""
    body = {"name": "hostile", "scopes": ["chat", "tools", "mcp", "admin"]}
    headers = {"authorization": f"Bearer {API_KEY}"}
    async with session.post(f"{url}/v1/admin/keys", json=body, headers=headers) as response:
        key: str = (await response.json())["key"]
        return key


async def send_body(session: aiohttp.ClientSession, url: str, method: str, path: str, body: HostileBody) -> int | None:
    """Send a body, and return the status, or None if the client disconnected before the response."""
    key = await create_key(session, url)
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json", **body.headers}
    try:
        async with session.request(method, url + path, data=io.BytesIO(body.raw), headers=headers) as response:
            await response.read()
            return response.status
    except (TimeoutError, aiohttp.ClientConnectionError):
        return None  # the gateway may close a connection whose body it stops reading


@pytest.mark.promise("requests.no-stall")
@pytest.mark.parametrize("name", PATHS)
async def test_no_request_body_stalls_the_event_loop(gateway: PolledGateway, name: str) -> None:
    method, path, _ = PATHS[name]
    timeout = aiohttp.ClientTimeout(total=CLIENT_TIMEOUT_SECONDS)
    stalls, statuses = {}, {}
    async with aiohttp.ClientSession(timeout=timeout) as session:
        for body in make_hostile_bodies(name, BODY_BYTES):
            for _ in range(ATTEMPTS):
                async with measure_stalls(gateway) as watch:
                    statuses[body.name] = await send_body(session, gateway.url, method, path, body)
                if watch.worst <= MAX_STALL_SECONDS:
                    break
            else:
                stalls[body.name] = round(watch.worst, 3)

    assert stalls == {}
    assert [body for body, status in statuses.items() if status is not None and status >= 500] == []
