"""A conversation with tools whose process is gone goes on as it really went: the model sees what it saw before."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from openai import APIStatusError, AsyncOpenAI, DefaultAsyncHttpxClient

from claude_gateway.demo.upstream import StandIn, stand_in
from tests.e2e.conftest import API_KEY, Gateway, gateway_on
from tests.e2e.test_start_and_stop import address, for_stand_in, serving
from tests.e2e.workshop import bash, call, result_of
from tests.files import files_below
from tests.installed import SANDBOX, need
from tests.workers.helpers import until

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio]

THEN = "{{then}}"
WORK = (
    "{{think hm}}{{say one}}" + bash("seq 1 50000; echo kept > here") + call("Glob", pattern="*")
    + THEN + "{{say two}}" + call("Read", file_path="/desk/here")
    + THEN + "{{think so}}{{say three}}"
)  # fmt: skip


def told(upstream: StandIn, number: int = -1) -> list[Any]:
    """What the model was told, without the marks for the cache, which move on by nature."""
    unmarked: list[Any] = without_marks(upstream.chats[number].body["messages"])
    return unmarked


def without_marks(value: Any) -> Any:
    match value:
        case dict():
            return {name: without_marks(one) for name, one in value.items() if name != "cache_control"}
        case list():
            return [without_marks(one) for one in value]
    return value


async def work(gateway: Gateway, words: str, session: str = "s", *before: Any, **more: Any) -> None:
    await gateway.ask(*before, words, extra_body={"enable_tools": True, "session_id": session}, **more)


def goes_on(upstream: StandIn, asked: str) -> None:
    """The newest request is the one before it, to the byte, with an answer and a question behind."""
    before, now = upstream.chats[-2].body, upstream.chats[-1].body
    assert (now["system"], now["tools"]) == (before["system"], before["tools"])
    old, new = told(upstream, -2), told(upstream)
    assert new[: len(old)] == old
    assert [message["role"] for message in new[len(old) :]] == ["assistant", "user"]
    assert new[-1]["content"] == [{"type": "text", "text": asked}]


@pytest.mark.promise("tools.taken-up")
async def test_another_process_is_told_what_the_one_before_was_told_to_the_byte(tmp_path: Path) -> None:
    need(SANDBOX)
    async with stand_in() as upstream:
        async with gateway_on(upstream, tmp_path, agent_workers=1) as gateway:
            await work(gateway, WORK)
            await work(gateway, "second")
            goes_on(upstream, "second")
            calls = [block["type"] for message in told(upstream) for block in message["content"]]
            assert (calls.count("tool_use"), calls.count("tool_result"), calls.count("thinking")) == (3, 3, 2)
            second = upstream.chats[-1]
            await work(gateway, "another conversation needs the process", "other")
            upstream.received.remove(upstream.chats[-1])
            assert upstream.chats[-1] is second
            await work(gateway, "third")
            goes_on(upstream, "third")
        async with gateway_on(upstream, tmp_path) as gateway:
            await work(gateway, "fourth")
            goes_on(upstream, "fourth")
            assert len(told(upstream)) == 11
            await work(gateway, "fifth")
            goes_on(upstream, "fifth")


async def test_a_gateway_that_is_killed_outright_loses_nothing_of_it(tmp_path: Path) -> None:
    need(SANDBOX)
    async with stand_in() as upstream:
        before: list[Any] = []
        for words in (WORK, "second", "third"):
            async with (
                serving(tmp_path, for_stand_in(upstream) | {"API_KEY": API_KEY}) as process,
                talking_to(await address(process)) as client,
            ):
                await work(Gateway("", upstream, client), words)
                process.kill()
                await process.wait()
            assert told(upstream)[: len(before)] == before
            before = told(upstream)
        assert len(before) == 9


@asynccontextmanager
async def talking_to(url: str) -> AsyncIterator[AsyncOpenAI]:
    direct = DefaultAsyncHttpxClient(trust_env=False)
    async with AsyncOpenAI(
        base_url=f"{url}/v1", api_key=API_KEY, max_retries=0, timeout=30, http_client=direct
    ) as client:
        yield client


async def test_what_was_broken_off_or_is_told_otherwise_by_the_caller_is_cut_off(tmp_path: Path) -> None:
    need(SANDBOX)
    async with stand_in() as upstream, gateway_on(upstream, tmp_path) as gateway:
        await work(gateway, "{{say one}}" + bash("echo x") + THEN + "{{say two}}")
        first = told(upstream)
        await leave_in_the_middle(gateway, bash("echo started; sleep 60"))
        await work(gateway, "second")
        assert told(upstream)[: len(first)] == first
        assert "sleep 60" not in str(told(upstream))
        # As a program does that lets its user write a question anew.
        history = [
            "{{say one}}" + bash("echo x") + THEN + "{{say two}}",
            {"role": "assistant", "content": "one\n\ntwo"},
        ]
        await work(gateway, "instead of the second", "s", *history)
        assert told(upstream)[: len(first)] == first
        assert told(upstream)[-1]["content"] == [{"type": "text", "text": "instead of the second"}]
        assert "second" not in str(told(upstream)[:-1])
        # Other tools, another model and another prompt are another process.
        await work(gateway, "third", extra_headers={"X-Claude-Allowed-Tools": "Read"})
        assert told(upstream)[: len(first)] == first
        await work(gateway, "fourth", model="claude-opus-4-20250514")
        await work(gateway, "fifth", "s", {"role": "system", "content": "Be brief."}, model="claude-opus-4-20250514")
        body = upstream.chats[-1].body
        assert body["model"] == "claude-opus-4-20250514"
        assert "Be brief." in str(body["system"])
        assert [kinds(message) for message in told(upstream)[1:4]] == [kinds(message) for message in first[1:]] + [
            ["text"]
        ]


def kinds(message: Any) -> list[str]:
    return [block["type"] for block in message["content"]]


async def leave_in_the_middle(gateway: Gateway, words: str) -> None:
    more = {"enable_tools": True, "session_id": "s", "stream_tool_progress": True}
    async with AsyncExitStack() as stack:
        stream = await gateway.ask(words, extra_body=more, stream=True)
        stack.push_async_callback(stream.close)
        async for chunk in stream:
            if "sleep" in str(chunk):
                return


@pytest.mark.promise("tools.record-out-of-reach")
async def test_no_command_and_no_tool_reads_or_changes_what_is_written_down(tmp_path: Path) -> None:
    need(SANDBOX)
    async with stand_in() as upstream:
        async with gateway_on(upstream, tmp_path) as gateway:
            await work(gateway, "the word is heron")
            (written,) = (path for path in files_below(tmp_path) if path.suffix == ".jsonl")
            inside = f"/home/worker/.claude/projects/{written.parent.name}/{written.name}"
            assert "heron" in written.read_text()
            found = await result_of(
                gateway, bash(f"cat {inside}; grep -rl heron / --include='*.jsonl' 2>/dev/null"), "s"
            )
            assert "No such file" in found
            assert inside not in found.replace(f"cat: {inside}", "")
            for attempt in (
                bash(f"echo '{{}}' >> {inside}"),
                bash(f"mkdir -p {Path(inside).parent}; echo x > {inside}; mv /home/worker/.claude /home/worker/x"),
                call("Read", file_path=inside),
                call("Write", file_path=inside, content="x"),
                call("Grep", pattern="heron", path="/home/worker/.claude"),
                bash(f"ln -s {inside} link"),
                call("Read", file_path="/desk/link"),
                call("Write", file_path="/desk/link", content="x"),
            ):
                assert "heron" not in await result_of(gateway, attempt, "s")
            before = told(upstream)
        async with gateway_on(upstream, tmp_path) as gateway:
            await work(gateway, "what is the word")
            assert told(upstream)[: len(before)] == before


async def test_it_counts_for_the_disk_of_its_session_and_goes_where_that_is_full(tmp_path: Path) -> None:
    need(SANDBOX)
    async with stand_in() as upstream, gateway_on(upstream, tmp_path, session_disk_mb=1) as gateway:
        refused = []
        # The CLI keeps what is too long for the model: half a megabyte each.
        for words in (THEN.join([bash("seq 1 90000")] * 4) + THEN + "{{say done}}", "second", "third"):
            try:
                await work(gateway, words)
            except APIStatusError as error:
                refused.append((error.status_code, error.code))
        assert refused == [(413, "session_disk_full")]
        assert not [path for path in files_below(tmp_path) if "tool-results" in path.parts]
        assert told(upstream)[-1]["content"][-1] == {"type": "text", "text": "third"}


async def test_it_goes_with_its_session_and_where_it_is_no_good_the_words_are_put_back(tmp_path: Path) -> None:
    need(SANDBOX)
    headers = {"authorization": f"Bearer {API_KEY}"}
    async with stand_in() as upstream:
        async with gateway_on(upstream, tmp_path) as gateway:
            await work(gateway, "the word is heron" + bash("echo x") + THEN + "{{say I know}}")
        (written,) = tmp_path.rglob("*.jsonl")
        written.write_text("nothing of use\n")
        async with (
            gateway_on(upstream, tmp_path) as gateway,
            aiohttp.ClientSession(gateway.url, headers=headers) as http,
        ):
            await work(gateway, "second")
            assert [message["role"] for message in told(upstream)] == ["user", "assistant", "user"]
            assert "I know" in str(told(upstream)[1])
            await work(gateway, "third")
            goes_on(upstream, "third")
            assert (await http.delete("/v1/sessions/s")).status == 200
            assert not list(tmp_path.glob("*places/*p-*"))
            await until(lambda: not list((tmp_path / ".claude-gateway-trash").iterdir()))
            assert not list(tmp_path.rglob("*.jsonl"))
