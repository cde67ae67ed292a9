"""Conversations with tools that another process resumes: the model sees the same bytes as before."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from openai import APIStatusError, AsyncOpenAI, DefaultAsyncHttpxClient

from claude_gateway.devtools.fake_anthropic.server import FakeAnthropic, run_fake_anthropic
from tests.e2e.helpers.gateway import API_KEY, Gateway, run_gateway_on
from tests.e2e.helpers.gateway_process import fake_api_env, read_gateway_url, run_gateway_process
from tests.e2e.helpers.tool_directives import bash_directive, get_tool_result, tool_directive
from tests.files import files_below
from tests.installed import SANDBOX_PROGRAMS, require_programs
from tests.workers.helpers import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio]

THEN = "{{then}}"
WORK = (
    "{{think hm}}{{say one}}" + bash_directive("seq 1 50000; echo kept > here") + tool_directive("Glob", pattern="*")
    + THEN + "{{say two}}" + tool_directive("Read", file_path="/desk/here")
    + THEN + "{{think so}}{{say three}}"
)  # fmt: skip


def read_messages(upstream: FakeAnthropic, number: int = -1) -> list[Any]:
    """Return the messages of an upstream request without the cache marks, which move with every request."""
    unmarked: list[Any] = strip_cache_control(upstream.chat_requests[number].body["messages"])
    return unmarked


def strip_cache_control(value: Any) -> Any:
    match value:
        case dict():
            return {name: strip_cache_control(item) for name, item in value.items() if name != "cache_control"}
        case list():
            return [strip_cache_control(item) for item in value]
    return value


async def ask_with_tools(gateway: Gateway, prompt: str, session: str = "s", *before: Any, **parameters: Any) -> None:
    await gateway.ask(*before, prompt, extra_body={"enable_tools": True, "session_id": session}, **parameters)


def check_request_continues(upstream: FakeAnthropic, question: str) -> None:
    """Check that the newest upstream request extends the previous one by one reply and one question, to the byte."""
    before, now = upstream.chat_requests[-2].body, upstream.chat_requests[-1].body
    assert (now["system"], now["tools"]) == (before["system"], before["tools"])
    old, new = read_messages(upstream, -2), read_messages(upstream)
    assert new[: len(old)] == old
    assert [message["role"] for message in new[len(old) :]] == ["assistant", "user"]
    assert new[-1]["content"] == [{"type": "text", "text": question}]


@pytest.mark.promise("tools.resumed")
async def test_next_process_sends_the_same_bytes_as_the_previous_one(tmp_path: Path) -> None:
    require_programs(SANDBOX_PROGRAMS)
    async with run_fake_anthropic() as upstream:
        async with run_gateway_on(upstream, tmp_path, agent_workers=1) as gateway:
            await ask_with_tools(gateway, WORK)
            await ask_with_tools(gateway, "second")
            check_request_continues(upstream, "second")
            calls = [block["type"] for message in read_messages(upstream) for block in message["content"]]
            assert (calls.count("tool_use"), calls.count("tool_result"), calls.count("thinking")) == (3, 3, 2)
            second = upstream.chat_requests[-1]
            await ask_with_tools(gateway, "another conversation needs the process", "other")
            upstream.requests.remove(upstream.chat_requests[-1])
            assert upstream.chat_requests[-1] is second
            await ask_with_tools(gateway, "third")
            check_request_continues(upstream, "third")
        async with run_gateway_on(upstream, tmp_path) as gateway:
            await ask_with_tools(gateway, "fourth")
            check_request_continues(upstream, "fourth")
            assert len(read_messages(upstream)) == 11
            await ask_with_tools(gateway, "fifth")
            check_request_continues(upstream, "fifth")


async def test_killed_gateway_loses_nothing_of_the_conversation(tmp_path: Path) -> None:
    require_programs(SANDBOX_PROGRAMS)
    async with run_fake_anthropic() as upstream:
        before: list[Any] = []
        for prompt in (WORK, "second", "third"):
            async with (
                run_gateway_process(tmp_path, fake_api_env(upstream) | {"API_KEY": API_KEY}) as process,
                open_client(await read_gateway_url(process)) as client,
            ):
                await ask_with_tools(Gateway("", upstream, client), prompt)
                process.kill()
                await process.wait()
            assert read_messages(upstream)[: len(before)] == before
            before = read_messages(upstream)
        assert len(before) == 9


@asynccontextmanager
async def open_client(url: str) -> AsyncIterator[AsyncOpenAI]:
    direct = DefaultAsyncHttpxClient(trust_env=False)
    async with AsyncOpenAI(
        base_url=f"{url}/v1", api_key=API_KEY, max_retries=0, timeout=100, http_client=direct
    ) as client:
        yield client


async def test_interrupted_or_edited_turns_are_removed_before_the_conversation_resumes(tmp_path: Path) -> None:
    require_programs(SANDBOX_PROGRAMS)
    async with run_fake_anthropic() as upstream, run_gateway_on(upstream, tmp_path) as gateway:
        await ask_with_tools(gateway, "{{say one}}" + bash_directive("echo x") + THEN + "{{say two}}")
        first = read_messages(upstream)
        await disconnect_in_mid_stream(gateway, bash_directive("echo started; sleep 60"))
        await ask_with_tools(gateway, "second")
        assert read_messages(upstream)[: len(first)] == first
        assert "sleep 60" not in str(read_messages(upstream))
        # Some client programs let their user edit an earlier question.
        history = [
            "{{say one}}" + bash_directive("echo x") + THEN + "{{say two}}",
            {"role": "assistant", "content": "one\n\ntwo"},
        ]
        await ask_with_tools(gateway, "instead of the second", "s", *history)
        assert read_messages(upstream)[: len(first)] == first
        assert read_messages(upstream)[-1]["content"] == [{"type": "text", "text": "instead of the second"}]
        assert "second" not in str(read_messages(upstream)[:-1])
        # Other tools, another model or another system prompt need another process.
        await ask_with_tools(gateway, "third", extra_headers={"X-Claude-Allowed-Tools": "Read"})
        assert read_messages(upstream)[: len(first)] == first
        await ask_with_tools(gateway, "fourth", model="claude-opus-4-20250514")
        await ask_with_tools(
            gateway, "fifth", "s", {"role": "system", "content": "Be brief."}, model="claude-opus-4-20250514"
        )
        body = upstream.chat_requests[-1].body
        assert body["model"] == "claude-opus-4-20250514"
        assert "Be brief." in str(body["system"])
        assert [read_block_types(message) for message in read_messages(upstream)[1:4]] == [
            read_block_types(message) for message in first[1:]
        ] + [["text"]]


def read_block_types(message: Any) -> list[str]:
    return [block["type"] for block in message["content"]]


async def disconnect_in_mid_stream(gateway: Gateway, prompt: str) -> None:
    parameters = {"enable_tools": True, "session_id": "s", "stream_tool_progress": True}
    async with AsyncExitStack() as stack:
        stream = await gateway.ask(prompt, extra_body=parameters, stream=True)
        stack.push_async_callback(stream.close)
        async for chunk in stream:
            if "sleep" in str(chunk):
                return


@pytest.mark.promise("tools.resume-file-out-of-reach")
async def test_no_command_or_tool_can_read_or_change_the_resume_file(tmp_path: Path) -> None:
    require_programs(SANDBOX_PROGRAMS)
    async with run_fake_anthropic() as upstream:
        async with run_gateway_on(upstream, tmp_path) as gateway:
            await ask_with_tools(gateway, "the word is heron")
            (resume_file,) = (path for path in files_below(tmp_path) if path.suffix == ".jsonl")
            inside = f"/home/worker/.claude/projects/{resume_file.parent.name}/{resume_file.name}"
            assert "heron" in resume_file.read_text()
            result = await get_tool_result(
                gateway, bash_directive(f"cat {inside}; grep -rl heron / --include='*.jsonl' 2>/dev/null"), "s"
            )
            assert "No such file" in result
            assert inside not in result.replace(f"cat: {inside}", "")
            for attempt in (
                bash_directive(f"echo '{{}}' >> {inside}"),
                bash_directive(
                    f"mkdir -p {Path(inside).parent}; echo x > {inside}; mv /home/worker/.claude /home/worker/x"
                ),
                tool_directive("Read", file_path=inside),
                tool_directive("Write", file_path=inside, content="x"),
                tool_directive("Grep", pattern="heron", path="/home/worker/.claude"),
                bash_directive(f"ln -s {inside} link"),
                tool_directive("Read", file_path="/desk/link"),
                tool_directive("Write", file_path="/desk/link", content="x"),
            ):
                assert "heron" not in await get_tool_result(gateway, attempt, "s")
            before = read_messages(upstream)
        async with run_gateway_on(upstream, tmp_path) as gateway:
            await ask_with_tools(gateway, "what is the word")
            assert read_messages(upstream)[: len(before)] == before


async def test_resume_file_counts_as_session_disk_usage_and_is_removed_when_the_disk_is_full(tmp_path: Path) -> None:
    require_programs(SANDBOX_PROGRAMS)
    async with run_fake_anthropic() as upstream, run_gateway_on(upstream, tmp_path, max_session_disk_mib=1) as gateway:
        rejections = []
        # The CLI stores results that are too long for the model in files of half a megabyte.
        for prompt in (THEN.join([bash_directive("seq 1 90000")] * 4) + THEN + "{{say done}}", "second", "third"):
            try:
                await ask_with_tools(gateway, prompt)
            except APIStatusError as error:
                rejections.append((error.status_code, error.code))
        assert rejections == [(413, "session_disk_limit_exceeded")]
        assert not [path for path in files_below(tmp_path) if "tool-results" in path.parts]
        assert read_messages(upstream)[-1]["content"][-1] == {"type": "text", "text": "third"}


async def test_resume_file_is_deleted_with_its_session_and_a_broken_one_is_replaced_by_replay(tmp_path: Path) -> None:
    require_programs(SANDBOX_PROGRAMS)
    headers = {"authorization": f"Bearer {API_KEY}"}
    async with run_fake_anthropic() as upstream:
        async with run_gateway_on(upstream, tmp_path) as gateway:
            await ask_with_tools(gateway, "the word is heron" + bash_directive("echo x") + THEN + "{{say I know}}")
        (resume_file,) = tmp_path.rglob("*.jsonl")
        resume_file.write_text("nothing of use\n")
        async with (
            run_gateway_on(upstream, tmp_path) as gateway,
            aiohttp.ClientSession(gateway.url, headers=headers) as http,
        ):
            await ask_with_tools(gateway, "second")
            assert [message["role"] for message in read_messages(upstream)] == ["user", "assistant", "user"]
            assert "I know" in str(read_messages(upstream)[1])
            await ask_with_tools(gateway, "third")
            check_request_continues(upstream, "third")
            assert (await http.delete("/v1/sessions/s")).status == 200
            assert not list(tmp_path.glob(".claude-gateway-*/*p-*"))
            await wait_until(lambda: not list((tmp_path / ".claude-gateway-trash").iterdir()))
            assert not list(tmp_path.rglob("*.jsonl"))
