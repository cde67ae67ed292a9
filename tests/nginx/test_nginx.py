"""The gateway behind a real nginx with the shipped site."""

import asyncio
import io
import json
import os
import re
import resource
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.claude_gateway.scripted import CHAT_BODY, HELLO_EVENTS, STREAM_BODY, ScriptedWorkerSource, build_scripted_app
from tests.installed import require_programs, skip_or_fail
from tests.nginx.proxy import run_behind_nginx, run_nginx_without_gateway
from workers.core.errors import ErrorKind, WorkerError

KEY = "of-the-clients"
AUTHORIZED = {"authorization": f"Bearer {KEY}"}
IDLE = 1_000
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(autouse=True, scope="module")
def _nginx() -> Iterator[None]:
    require_programs({"nginx": "nginx-light"})
    soft_limit, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard_limit, 8192), hard_limit))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft_limit, hard_limit))


def build_app(worker_source: ScriptedWorkerSource, **settings: Any) -> web.Application:
    return build_scripted_app(
        worker_source, api_key=KEY, claude_wrapper_host="127.0.0.1", port=0, drain_timeout_seconds=0, **settings
    )


async def open_stream(session: aiohttp.ClientSession) -> aiohttp.ClientResponse:
    return await session.post("/v1/chat/completions", json=STREAM_BODY, headers=AUTHORIZED)


async def read_until(response: aiohttp.ClientResponse, word: bytes) -> None:
    while word not in (line := await response.content.readline()):
        assert line, "the stream ended"


@pytest.mark.promise("nginx.streams")
async def test_nginx_forwards_each_event_at_once(tmp_path: Path) -> None:
    more = asyncio.Event()
    app = build_app(ScriptedWorkerSource.repeating(*HELLO_EVENTS[:3], more, *HELLO_EVENTS[3:]))
    async with run_behind_nginx(app, tmp_path) as session, await open_stream(session) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        await read_until(response, b"Hel")
        more.set()
        assert (await response.text()).rstrip().endswith("data: [DONE]")


async def test_interrupted_stream_is_interrupted_for_the_client_too(tmp_path: Path) -> None:
    app = build_app(
        ScriptedWorkerSource.repeating(*HELLO_EVENTS[:3], WorkerError(ErrorKind.UPSTREAM_DISCONNECTED, "It broke."))
    )
    async with run_behind_nginx(app, tmp_path) as session, await open_stream(session) as response:
        await read_until(response, b"Hel")
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.text()


@pytest.mark.promise("nginx.streams")
async def test_heartbeats_keep_a_silent_stream_open_beyond_the_timeout_of_nginx(tmp_path: Path) -> None:
    more = asyncio.Event()
    app = build_app(
        ScriptedWorkerSource.repeating(*HELLO_EVENTS[:3], more, *HELLO_EVENTS[3:]), heartbeat_interval_seconds=0.2
    )
    async with run_behind_nginx(app, tmp_path, read_timeout="1s") as session, await open_stream(session) as response:
        for _ in range(12):  # one heartbeat each 0.2 seconds
            await read_until(response, b": ping")
        more.set()
        assert (await response.text()).rstrip().endswith("data: [DONE]")


async def test_nginx_closes_a_silent_stream_without_heartbeats(tmp_path: Path) -> None:
    app = build_app(ScriptedWorkerSource.repeating(*HELLO_EVENTS[:3], asyncio.Event()), heartbeat_interval_seconds=60)
    async with run_behind_nginx(app, tmp_path, read_timeout="1s") as session, await open_stream(session) as response:
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.text()


async def test_thousand_idle_streams_leave_room_for_another_client(tmp_path: Path) -> None:
    more = asyncio.Event()
    app = build_app(ScriptedWorkerSource.repeating(*HELLO_EVENTS[:3], more, *HELLO_EVENTS[3:]))
    async with run_behind_nginx(app, tmp_path) as session:
        idle = [await open_stream(session) for _ in range(IDLE)]
        await asyncio.gather(*(read_until(response, b"Hel") for response in idle))
        async with session.get("/health/ready") as ready:
            assert ready.status == 200
        more.set()
        ends = await asyncio.gather(*(response.text() for response in idle))
    assert sum(end.rstrip().endswith("data: [DONE]") for end in ends) == IDLE


async def test_large_body_is_forwarded_and_a_too_large_body_gets_a_json_error(tmp_path: Path) -> None:
    worker_source = ScriptedWorkerSource.repeating(*HELLO_EVENTS)
    app = build_app(worker_source, max_request_size=32 * 2**20)
    async with run_behind_nginx(app, tmp_path) as session:
        results = []
        for mebibytes in (31, 33, 37):
            body = {**CHAT_BODY, "messages": [{"role": "user", "content": "x" * (mebibytes * 2**20)}]}
            data = io.BytesIO(json.dumps(body).encode())
            async with session.post("/v1/chat/completions", data=data, headers=AUTHORIZED) as response:
                results.append((response.status, (await response.json()).get("error", {}).get("type")))
    assert results == [(200, None), (413, "request_too_large"), (413, "request_too_large")]
    assert len(worker_source.jobs) == 1
    assert len(worker_source.jobs[0].turns[0].blocks[0].text) == 31 * 2**20


@pytest.mark.promise("cancel.frees-worker")
async def test_client_disconnect_behind_nginx_frees_the_worker(tmp_path: Path) -> None:
    worker_source = ScriptedWorkerSource.repeating(*HELLO_EVENTS[:3], asyncio.Event())
    async with run_behind_nginx(build_app(worker_source), tmp_path) as session:
        response = await open_stream(session)
        await read_until(response, b"Hel")
        # Abort, because asyncio's close would wait for nginx to close as well, which it does when the response ends.
        assert response.connection is not None
        assert response.connection.transport is not None
        response.connection.transport.abort()
        await asyncio.wait_for(worker_source.worker_released.wait(), 20)


async def test_nginx_rejects_too_many_requests_of_one_address_with_a_json_error(tmp_path: Path) -> None:
    app = build_app(ScriptedWorkerSource.repeating(*HELLO_EVENTS))
    statuses: Counter[int] = Counter()
    async with run_behind_nginx(app, tmp_path, with_limits=True) as session:

        async def send_requests() -> None:
            for _ in range(40):
                async with session.get("/health/live") as response:
                    statuses[response.status] += 1
                    if response.status == 429:
                        assert response.headers["Retry-After"] == "1"
                        assert (await response.json())["error"]["type"] == "rate_limit_exceeded"

        await asyncio.gather(*(send_requests() for _ in range(20)))
    assert statuses.keys() == {200, 429}
    assert statuses[200] >= 100


async def test_unavailable_gateway_gets_a_json_error_with_retry_after(tmp_path: Path) -> None:
    async with run_nginx_without_gateway(tmp_path) as session, session.get("/health") as response:
        assert (response.status, response.headers["Retry-After"]) == (503, "3")
        assert (await response.json())["error"]["code"] == "gateway_unavailable"


@pytest.mark.promise("keys.never-logged")
async def test_nginx_logs_no_key(tmp_path: Path) -> None:
    app = build_app(ScriptedWorkerSource.repeating(*HELLO_EVENTS))
    async with (
        run_behind_nginx(app, tmp_path) as session,
        session.get("/v1beta/models", params={"key": KEY}) as response,
    ):
        assert response.status == 200
    assert "GET /v1beta/models 200" in read_logs(tmp_path)
    assert KEY not in read_logs(tmp_path)


@pytest.mark.promise("keys.never-logged")
async def test_nginx_logs_no_key_of_requests_that_it_rejects_or_cannot_forward(tmp_path: Path) -> None:
    with_key = {"key": KEY}
    statuses: Counter[int] = Counter()
    (tmp_path / "unavailable").mkdir()
    async with run_nginx_without_gateway(tmp_path / "unavailable") as session:
        async with session.get("/v1beta/models", params=with_key) as response:
            statuses[response.status] += 1
        large = io.BytesIO(bytes(37 * 2**20))
        async with session.post("/v1beta/models/x:generateContent", params=with_key, data=large) as response:
            statuses[response.status] += 1
    (tmp_path / "limited").mkdir()
    async with run_behind_nginx(
        build_app(ScriptedWorkerSource.repeating(*HELLO_EVENTS)), tmp_path / "limited", with_limits=True
    ) as session:

        async def send_request(_: int) -> int:
            async with session.get("/v1beta/models", params=with_key) as response:
                return response.status

        statuses.update(await asyncio.gather(*map(send_request, range(300))))
    assert {503, 413, 429} <= statuses.keys()
    assert KEY not in read_logs(tmp_path / "unavailable") + read_logs(tmp_path / "limited")
    assert "GET /v1beta/models 503" in read_logs(tmp_path / "unavailable")
    # This field tells it from a 503 of the gateway itself.
    assert "upstream=502" in read_logs(tmp_path / "unavailable")
    assert "requests=REJECTED" in read_logs(tmp_path / "limited")


@pytest.mark.promise("keys.never-logged")
async def test_nginx_logs_no_key_of_requests_without_tls(tmp_path: Path) -> None:
    async with run_nginx_without_gateway(tmp_path) as session:
        port = re.search(r"listen 127\.0\.0\.1:(\d+);", (tmp_path / "site.conf").read_text())
        assert port
        url = f"http://127.0.0.1:{port[1]}/v1beta/models"
        async with session.get(url, params={"key": KEY}, allow_redirects=False) as response:
            assert response.status == 301
    assert "GET /v1beta/models 301" in read_logs(tmp_path)
    assert KEY not in read_logs(tmp_path)


def read_logs(directory: Path) -> str:
    """Return everything that nginx logged, its error log included."""
    return "".join(file.read_text() for file in directory.glob("*.log"))


@pytest.mark.promise("documents.deploy")
def test_documented_commands_work_in_their_order_on_debian_nginx(tmp_path: Path) -> None:
    """Run the commands with and without a certificate; certbot and systemctl are replaced by small scripts."""
    if os.geteuid():
        skip_or_fail("only root can change /etc/nginx, in a namespace of its own")
    text = (ROOT / "docs/operations/deploy.md").read_text()
    (commands,) = re.findall(r"^## Behind nginx.*?^```\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert commands.count("nginx -t") == 2
    live = "/etc/letsencrypt/live/gateway.example.com"
    make_certificate = (
        f"mkdir -p {live} && openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=gateway.example.com -days 1 "
        f"-keyout {live}/privkey.pem -out {live}/fullchain.pem 2>/dev/null"
    )
    script = f"""
        set -e
        mount --make-rprivate /
        mount -t tmpfs tmpfs /mnt
        for directory in /etc /var/log /run; do
            mkdir -p /mnt/upper$directory /mnt/work$directory
            above=upperdir=/mnt/upper$directory,workdir=/mnt/work$directory
            mount -t overlay overlay -o lowerdir=$directory,$above $directory
        done
        rm -rf /etc/letsencrypt
        mkdir /mnt/bin
        for name in certbot systemctl; do printf '#!/bin/sh\\n' > /mnt/bin/$name; done
        echo '{make_certificate}' >> /mnt/bin/certbot
        chmod 755 /mnt/bin/*
        export PATH=/mnt/bin:$PATH
        {commands}
    """
    done = subprocess.run(
        ["unshare", "--mount", "--net", "sh", "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert done.stderr.count("test is successful") == 2
    assert "[warn]" not in done.stderr
