"""Sessions through the real CLI: the model receives the whole conversation after any exit in between."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from claude_gateway.devtools.fake_anthropic.server import FakeAnthropic
from tests.e2e.helpers.gateway import API_KEY, MODEL, Gateway, run_gateway_on
from tests.e2e.helpers.gateway_process import fake_api_env, read_gateway_url, run_failing_start, run_gateway_process
from tests.e2e.helpers.processes import find_worker_pids
from tests.e2e.helpers.upstream_requests import read_last_messages, read_system_texts, read_turns

pytestmark = pytest.mark.e2e

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
TOOL = {"type": "function", "function": {"name": "lookup", "parameters": {"type": "object", "properties": {}}}}
Turns = list[tuple[str, list[str]]]


async def ask_in_session(gateway: Gateway, *messages: Any, session: str = "project-123", **parameters: Any) -> Any:
    return await gateway.ask(*messages, extra_body={"session_id": session}, **parameters)


def read_upstream_turns(upstream: FakeAnthropic) -> Turns:
    return read_turns(upstream.chat_requests[-1].body)


def echoed_turns(*texts: str) -> Turns:
    """Return the turns of a conversation in which the fake upstream echoed every text but the last."""
    echoed: Turns = [turn for text in texts for turn in (("user", [text]), ("assistant", [text]))]
    return echoed[:-1]


def read_upstream_blocks(gateway: Gateway) -> list[tuple[str, list[dict[str, Any]]]]:
    """Return role and blocks of each turn of the newest upstream request."""
    return [(turn["role"], turn["content"]) for turn in read_last_messages(gateway)]


async def read_to_the_last_byte(http: aiohttp.ClientSession, url: str, text: str, *, stream: bool) -> None:
    """Ask, and read the response up to its last byte and not longer."""
    body = {"model": MODEL, "session_id": "s", "stream": stream, "messages": [{"role": "user", "content": text}]}
    async with http.post(f"{url}/v1/chat/completions", json=body) as response:
        assert response.status == 200, await response.text()
        if not stream:
            await response.json()
            return
        async for line in response.content:
            if line == b"data: [DONE]\n":
                return
    pytest.fail("the stream just stopped")


@pytest.mark.promise("sessions.remember")
async def test_model_receives_the_whole_conversation_each_time(upstream: FakeAnthropic, tmp_path: Path) -> None:
    async with run_gateway_on(upstream, tmp_path, chat_workers=3) as gateway:
        for number in range(5):
            texts = [f"turn {n}" for n in range(number + 1)]
            if number % 2:
                await ask_in_session(gateway, texts[-1])
            else:
                await gateway.stream_text(texts[-1], extra_body={"session_id": "project-123"})
            assert read_upstream_turns(upstream) == echoed_turns(*texts)
        await ask_in_session(gateway, "elsewhere", session="other")
        assert read_upstream_turns(upstream) == echoed_turns("elsewhere")
    assert len(upstream.chat_requests) == 6


@pytest.mark.promise("sessions.not-doubled")
async def test_complete_history_is_not_stored_twice(upstream: FakeAnthropic, tmp_path: Path) -> None:
    async with run_gateway_on(upstream, tmp_path, chat_workers=3) as gateway:
        history: list[Any] = []
        for number in range(4):
            history.append({"role": "user", "content": f"turn {number}"})
            completion = await ask_in_session(gateway, *history)
            history.append({"role": "assistant", "content": completion.choices[0].message.content})
            assert read_upstream_turns(upstream) == echoed_turns(*(f"turn {n}" for n in range(number + 1)))
        await ask_in_session(gateway, "only the new one")
        assert read_upstream_turns(upstream) == [*echoed_turns(*(f"turn {n}" for n in range(4)), "only the new one")]


@pytest.mark.promise("sessions.survive")
async def test_a_session_survives_a_restart_with_every_block(upstream: FakeAnthropic, tmp_path: Path) -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    question = {"type": "text", "text": 'see {{think hm}}{{say yes}}{{tool lookup {"a":1}}}'}
    body = {
        "model": MODEL,
        "session_id": "s",
        "system": "Be brief.",
        "thinking": {"type": "enabled", "budget_tokens": 2000},
        "max_tokens": 4000,
        "tools": [{"name": "lookup", "input_schema": {"type": "object"}}],
        "messages": [{"role": "user", "content": [question, image]}],
    }
    async with (
        run_gateway_on(upstream, tmp_path) as gateway,
        aiohttp.ClientSession(headers={"x-api-key": API_KEY}) as http,
        http.post(f"{gateway.url}/v1/messages", json=body) as response,
    ):
        thinking, text, call = (await response.json())["content"]
    async with run_gateway_on(upstream, tmp_path) as gateway:
        result = {"role": "tool", "tool_call_id": call["id"], "content": "found"}
        completion = await ask_in_session(gateway, result, session="s", tools=[TOOL])
    assert completion.choices[0].message.content == "1 tool result(s)"
    (_, question_blocks), (_, reply), (_, results) = read_upstream_blocks(gateway)
    assert question_blocks == [question, image]
    assert reply[:2] == [thinking, text]
    assert (reply[2]["id"], reply[2]["input"], call["name"]) == (call["id"], {"a": 1}, "lookup")
    assert [block["tool_use_id"] for block in results] == [call["id"]]
    assert read_system_texts(upstream.chat_requests[-1].body) == ["Be brief."]


@pytest.mark.promise("sessions.survive")
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_a_session_survives_a_gateway_that_is_killed_after_the_last_byte(
    upstream: FakeAnthropic, tmp_path: Path, stream: bool
) -> None:
    texts: list[str] = []
    async with aiohttp.ClientSession() as http:
        for run in range(2):
            async with run_gateway_process(tmp_path, fake_api_env(upstream)) as process:
                url = await read_gateway_url(process)
                texts.append(f"life {run}")
                await read_to_the_last_byte(http, url, texts[-1], stream=stream)
                process.kill()
            assert read_upstream_turns(upstream) == echoed_turns(*texts)


@pytest.mark.promise("sessions.survive")
async def test_session_survives_the_exit_of_its_worker(upstream: FakeAnthropic, tmp_path: Path) -> None:
    async with run_gateway_on(upstream, tmp_path, chat_workers=1) as gateway:
        await ask_in_session(gateway, "one")
        for pid in find_worker_pids():
            os.kill(pid, signal.SIGKILL)
        await ask_in_session(gateway, "two")
    assert read_upstream_turns(upstream) == echoed_turns("one", "two")


@pytest.mark.promise("sessions.one-at-a-time")
async def test_concurrent_requests_of_a_session_run_one_after_another(upstream: FakeAnthropic, tmp_path: Path) -> None:
    async with run_gateway_on(upstream, tmp_path) as gateway:
        await asyncio.gather(*(ask_in_session(gateway, f"at once {number}") for number in range(3)))
    conversations = [read_turns(request.body) for request in upstream.chat_requests]
    assert [len(conversation) for conversation in conversations] == [1, 3, 5]
    assert sorted(text for role, (text,) in conversations[-1] if role == "user") == [
        f"at once {number}" for number in range(3)
    ]


@pytest.mark.promise("sessions.own-only")
async def test_session_is_invisible_to_another_key(upstream: FakeAnthropic, tmp_path: Path) -> None:
    async with run_gateway_on(upstream, tmp_path) as gateway:
        await ask_in_session(gateway, "a secret")
    async with run_gateway_on(upstream, tmp_path, api_key=None) as gateway, aiohttp.ClientSession() as http:
        async with http.get(f"{gateway.url}/v1/sessions") as response:
            assert await response.json() == {"sessions": [], "total": 0}
        async with http.get(f"{gateway.url}/v1/sessions/project-123") as response:
            assert response.status == 404
        await ask_in_session(gateway, "who is there?")
        assert read_upstream_turns(upstream) == echoed_turns("who is there?")


@pytest.mark.promise("sessions.tool-results")
async def test_results_without_calls_join_the_session_and_missing_results_are_reported(
    upstream: FakeAnthropic, tmp_path: Path
) -> None:
    async with run_gateway_on(upstream, tmp_path, chat_workers=3) as gateway:
        first = await ask_in_session(gateway, "go {{tool lookup {}}}{{tool lookup {}}}", tools=[TOOL])
        done, missing = first.choices[0].message.tool_calls
        second = await ask_in_session(
            gateway, {"role": "tool", "tool_call_id": done.id, "content": "found"}, tools=[TOOL]
        )
        assert second.choices[0].finish_reason == "stop"
        results = {block["tool_use_id"]: block for _, content in read_upstream_blocks(gateway)[2:] for block in content}
        assert (results.keys(), results[missing.id]["is_error"]) == ({done.id, missing.id}, True)
        await ask_in_session(gateway, "and now?", tools=[TOOL])
        assert [role for role, _ in read_upstream_blocks(gateway)] == ["user", "assistant"] * 2 + ["user"]
    assert len(upstream.chat_requests) == 3


async def test_unusable_database_is_reported_in_one_line(upstream: FakeAnthropic, tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    (state / "gateway.db").write_text("this is no database, whatever it is called " * 50)
    status, lines = await run_failing_start(tmp_path, {**fake_api_env(upstream), "STATE_DIR": str(state)})
    assert (status, len(lines)) == (1, 1)
    assert "gateway.db" in lines[0]
    assert "STATE_DIR" in lines[0]
