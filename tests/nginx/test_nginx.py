"""The gateway behind a real nginx, with the site that is shipped."""

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

from tests.claude_gateway.scripted import CHAT, HELLO, STREAM, ScriptedDispatcher, scripted_app
from tests.installed import need, say_and_skip
from tests.nginx.proxy import before_nobody, behind_nginx
from workers.errors import ErrorKind, WorkerError

KEY = "of-the-callers"
AUTHORIZED = {"authorization": f"Bearer {KEY}"}
IDLE = 1_000
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(autouse=True, scope="module")
def _nginx() -> Iterator[None]:
    need({"nginx": "nginx-light"})
    soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 8192), most))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, most))


def gateway(dispatcher: ScriptedDispatcher, **settings: Any) -> web.Application:
    return scripted_app(dispatcher, api_key=KEY, claude_wrapper_host="127.0.0.1", port=0, drain_seconds=0, **settings)


async def streamed(session: aiohttp.ClientSession) -> aiohttp.ClientResponse:
    return await session.post("/v1/chat/completions", json=STREAM, headers=AUTHORIZED)


async def line_with(response: aiohttp.ClientResponse, word: bytes) -> None:
    while word not in (line := await response.content.readline()):
        assert line, "the stream ended"


@pytest.mark.promise("nginx.streams")
async def test_a_word_is_not_held_back(tmp_path: Path) -> None:
    more = asyncio.Event()
    app = gateway(ScriptedDispatcher.always(*HELLO[:3], more, *HELLO[3:]))
    async with behind_nginx(app, tmp_path) as session, await streamed(session) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        await line_with(response, b"Hel")
        more.set()
        assert (await response.text()).rstrip().endswith("data: [DONE]")


async def test_an_answer_that_breaks_off_breaks_off_for_the_client_too(tmp_path: Path) -> None:
    app = gateway(ScriptedDispatcher.always(*HELLO[:3], WorkerError(ErrorKind.CUT, "It broke.")))
    async with behind_nginx(app, tmp_path) as session, await streamed(session) as response:
        await line_with(response, b"Hel")
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.text()


@pytest.mark.promise("nginx.streams")
async def test_a_silent_stream_outlives_the_patience_of_nginx(tmp_path: Path) -> None:
    more = asyncio.Event()
    app = gateway(ScriptedDispatcher.always(*HELLO[:3], more, *HELLO[3:]), heartbeat_seconds=0.2)
    async with behind_nginx(app, tmp_path, read_timeout="1s") as session, await streamed(session) as response:
        for _ in range(12):  # of a fifth of a second each
            await line_with(response, b": ping")
        more.set()
        assert (await response.text()).rstrip().endswith("data: [DONE]")


async def test_without_a_heartbeat_nginx_would_have_ended_it(tmp_path: Path) -> None:
    app = gateway(ScriptedDispatcher.always(*HELLO[:3], asyncio.Event()), heartbeat_seconds=60)
    async with behind_nginx(app, tmp_path, read_timeout="1s") as session, await streamed(session) as response:
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.text()


async def test_a_thousand_idle_streams_leave_room_for_another_caller(tmp_path: Path) -> None:
    more = asyncio.Event()
    app = gateway(ScriptedDispatcher.always(*HELLO[:3], more, *HELLO[3:]))
    async with behind_nginx(app, tmp_path) as session:
        idle = [await streamed(session) for _ in range(IDLE)]
        await asyncio.gather(*(line_with(response, b"Hel") for response in idle))
        async with session.get("/health/ready") as ready:
            assert ready.status == 200
        more.set()
        ends = await asyncio.gather(*(response.text() for response in idle))
    assert sum(end.rstrip().endswith("data: [DONE]") for end in ends) == IDLE


async def test_a_large_body_goes_through_and_what_is_too_large_is_said_in_json(tmp_path: Path) -> None:
    dispatcher = ScriptedDispatcher.always(*HELLO)
    app = gateway(dispatcher, max_request_size=32 * 2**20)
    async with behind_nginx(app, tmp_path) as session:
        told = []
        for mebibytes in (31, 33, 37):
            body = {**CHAT, "messages": [{"role": "user", "content": "x" * (mebibytes * 2**20)}]}
            sent = io.BytesIO(json.dumps(body).encode())
            async with session.post("/v1/chat/completions", data=sent, headers=AUTHORIZED) as answer:
                told.append((answer.status, (await answer.json()).get("error", {}).get("type")))
    assert told == [(200, None), (413, "request_too_large"), (413, "request_too_large")]
    assert len(dispatcher.jobs) == 1
    assert len(dispatcher.jobs[0].turns[0].blocks[0].text) == 31 * 2**20


@pytest.mark.promise("cancel.frees-worker")
async def test_who_leaves_is_seen_behind_nginx(tmp_path: Path) -> None:
    dispatcher = ScriptedDispatcher.always(*HELLO[:3], asyncio.Event())
    async with behind_nginx(gateway(dispatcher), tmp_path) as session:
        response = await streamed(session)
        await line_with(response, b"Hel")
        # At once: asyncio's own close would wait for nginx to take leave too, which it does when the answer ends.
        assert response.connection is not None
        assert response.connection.transport is not None
        response.connection.transport.abort()
        await asyncio.wait_for(dispatcher.released.wait(), 20)


async def test_many_requests_of_one_address_are_stopped_before_the_gateway_and_told_so(tmp_path: Path) -> None:
    app = gateway(ScriptedDispatcher.always(*HELLO))
    ended: Counter[int] = Counter()
    async with behind_nginx(app, tmp_path, wall=True) as session:

        async def ask() -> None:
            for _ in range(40):
                async with session.get("/health/live") as answer:
                    ended[answer.status] += 1
                    if answer.status == 429:
                        assert answer.headers["Retry-After"] == "1"
                        assert (await answer.json())["error"]["type"] == "rate_limit_exceeded"

        await asyncio.gather(*(ask() for _ in range(20)))
    assert ended.keys() == {200, 429}
    assert ended[200] >= 100


async def test_a_gateway_that_is_away_is_said_in_json_with_when_to_come_again(tmp_path: Path) -> None:
    async with before_nobody(tmp_path) as session, session.get("/health") as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "3")
        assert (await answer.json())["error"]["code"] == "gateway_away"


@pytest.mark.promise("keys.never-logged")
async def test_nginx_logs_no_key(tmp_path: Path) -> None:
    app = gateway(ScriptedDispatcher.always(*HELLO))
    async with behind_nginx(app, tmp_path) as session, session.get("/v1beta/models", params={"key": KEY}) as answer:
        assert answer.status == 200
    assert "GET /v1beta/models 200" in logged(tmp_path)
    assert KEY not in logged(tmp_path)


@pytest.mark.promise("keys.never-logged")
async def test_nginx_logs_no_key_of_requests_that_it_refuses_or_cannot_pass_on(tmp_path: Path) -> None:
    with_key = {"key": KEY}
    statuses: Counter[int] = Counter()
    (tmp_path / "away").mkdir()
    async with before_nobody(tmp_path / "away") as session:
        async with session.get("/v1beta/models", params=with_key) as answer:
            statuses[answer.status] += 1
        large = io.BytesIO(bytes(37 * 2**20))
        async with session.post("/v1beta/models/x:generateContent", params=with_key, data=large) as answer:
            statuses[answer.status] += 1
    (tmp_path / "wall").mkdir()
    async with behind_nginx(gateway(ScriptedDispatcher.always(*HELLO)), tmp_path / "wall", wall=True) as session:

        async def ask(_: int) -> int:
            async with session.get("/v1beta/models", params=with_key) as answer:
                return answer.status

        statuses.update(await asyncio.gather(*map(ask, range(300))))
    assert {503, 413, 429} <= statuses.keys()
    assert KEY not in logged(tmp_path / "away") + logged(tmp_path / "wall")
    assert "GET /v1beta/models 503" in logged(tmp_path / "away")
    assert "upstream=502" in logged(tmp_path / "away")  # by which it is told from a gateway that says so itself
    assert "requests=REJECTED" in logged(tmp_path / "wall")


@pytest.mark.promise("keys.never-logged")
async def test_nginx_logs_no_key_that_came_without_tls(tmp_path: Path) -> None:
    async with before_nobody(tmp_path) as session:
        port = re.search(r"listen 127\.0\.0\.1:(\d+);", (tmp_path / "site.conf").read_text())
        assert port
        url = f"http://127.0.0.1:{port[1]}/v1beta/models"
        async with session.get(url, params={"key": KEY}, allow_redirects=False) as answer:
            assert answer.status == 301
    assert "GET /v1beta/models 301" in logged(tmp_path)
    assert KEY not in logged(tmp_path)


def logged(place: Path) -> str:
    """All that nginx wrote anywhere, its own complaints too."""
    return "".join(file.read_text() for file in place.glob("*.log"))


@pytest.mark.promise("documents.deploy")
def test_the_commands_of_the_document_hold_in_their_order_on_debian_s_own_nginx(tmp_path: Path) -> None:
    """Before there is a certificate, and after; certbot and systemctl only leave behind what they would."""
    if os.geteuid():
        say_and_skip("only root can change /etc/nginx, in a namespace of its own")
    text = (ROOT / "docs/deploy.md").read_text()
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
