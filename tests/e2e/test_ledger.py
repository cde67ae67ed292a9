"""The ledger of a real gateway: every job once, also where the gateway is killed in the middle of many."""

import asyncio
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from claude_gateway.demo.upstream import StandIn
from tests.e2e.conftest import API_KEY, MODEL, Gateway
from tests.e2e.test_start_and_stop import address, for_stand_in, serving

SETTINGS = {"API_KEY": API_KEY, "CHAT_WORKERS": "2", "QUEUE_LIMIT": "300", "RATE_LIMIT_ENABLED": "false"}
HEADERS = {"Authorization": f"Bearer {API_KEY}"}
JOBS = 60

pytestmark = pytest.mark.e2e


async def usage(session: aiohttp.ClientSession, url: str, query: str = "") -> dict[str, Any]:
    async with session.get(f"{url}/v1/usage{query}", headers=HEADERS) as response:
        assert response.status == 200
        return dict(await response.json())


async def ask(session: aiohttp.ClientSession, url: str, number: int, text: str = "") -> str | None:
    """The id of an answered request; None where the gateway did not live to answer it."""
    body = {"model": MODEL, "messages": [{"role": "user", "content": f"job {number}. {text}"}]}
    try:
        async with session.post(f"{url}/v1/chat/completions", json=body, headers=HEADERS) as response:
            assert response.status == 200, await response.text()
            await response.json()
            return response.headers["x-request-id"]
    except aiohttp.ClientError:
        return None


@pytest.mark.promise("ledger.lost")
async def test_every_job_is_in_the_ledger_once_across_a_kill(tmp_path: Path, upstream: StandIn) -> None:
    env = {**for_stand_in(upstream), **SETTINGS}
    async with aiohttp.ClientSession() as session:
        async with serving(tmp_path, env) as gateway:
            url = await address(gateway)
            asking = [asyncio.create_task(ask(session, url, number)) for number in range(JOBS)]
            async with asyncio.timeout(60):
                while len(upstream.chats) < JOBS // 3:  # noqa: ASYNC110 - the stand-in announces nothing
                    await asyncio.sleep(0.01)
            gateway.kill()
            answered = {id_ for id_ in await asyncio.gather(*asking) if id_ is not None}
        seen = len(upstream.chats)
        assert JOBS // 4 < len(answered) < JOBS

        async with serving(tmp_path, env) as gateway:
            url = await address(gateway)
            again = await asyncio.gather(*(ask(session, url, number) for number in range(10)))
            told = await usage(session, url, "?group_by=result")
        answered |= {id_ for id_ in again if id_ is not None}

    by_result = {row["result"]: row["jobs"] for row in told["data"]}
    lost = by_result.get("lost", 0)
    with sqlite3.connect(next(tmp_path.rglob("gateway.db"))) as database:
        lines = Counter(database.execute("SELECT request_id FROM ledger").fetchall())
        ended = {id_ for (id_,) in database.execute("SELECT request_id FROM ledger WHERE result = 'ok'")}
    assert set(lines.values()) == {1}
    assert answered <= ended
    # Whoever asked the upstream is in the ledger; at the end of an answer its caller may just not have heard of it.
    assert seen + len(again) <= len(lines) <= seen + len(again) + 2
    assert 0 < lost <= 2
    assert len(ended) - len(answered) <= 2


@pytest.mark.asyncio(loop_scope="module")
async def test_tokens_and_cost_are_those_of_claude_code(gateway: Gateway) -> None:
    await gateway.ask("{{usage input=1000 output=100 cache_read=5000 cache_write=2000 thinking=7}} hello")
    await gateway.ask("{{usage input=1000 output=1000}} long", max_tokens=1_000)
    limit = "{{stop max_tokens}}{{usage input=1000 output=1000}} long"
    cut_off = await gateway.ask(limit, max_tokens=1_000)
    assert cut_off.choices[0].finish_reason == "length"
    # Its cost comes once the process has stopped; the next job of this one worker waits for that.
    async with aiohttp.ClientSession() as session:
        url = gateway.url
        told = await usage(session, url, "?group_by=model")
        async with asyncio.timeout(20):
            while told["total"]["cost_usd"] < 0.0494:
                told = await usage(session, url, "?group_by=model")

    (row,) = told["data"]
    assert (row["model"], row["jobs"], row["ok"]) == (MODEL, 3, 3)
    assert (row["input_tokens"], row["output_tokens"], row["thinking_tokens"]) == (3_000, 2_100, 7)
    assert (row["cache_read_tokens"], row["cache_write_tokens"]) == (5_000, 2_000)
    assert row["cost_usd"] == pytest.approx(0.0135 + 0.018 + 0.018)
    assert row["mean_first_token_ms"] > 0
