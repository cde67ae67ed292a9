"""Sessions through the real CLI: what the model is asked is the whole conversation, whatever died in between."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from claude_gateway.demo.upstream import StandIn
from tests.e2e import test_messages
from tests.e2e.conftest import API_KEY, MODEL, Gateway, gateway_on
from tests.e2e.test_chat import system_of, turns
from tests.e2e.test_leaving import worker_pids
from tests.e2e.test_start_and_stop import address, fails_with, for_stand_in, serving

pytestmark = pytest.mark.e2e

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
TOOL = {"type": "function", "function": {"name": "lookup", "parameters": {"type": "object", "properties": {}}}}
Turns = list[tuple[str, list[str]]]


async def say(gateway: Gateway, *messages: Any, session: str = "project-123", **parameters: Any) -> Any:
    return await gateway.ask(*messages, extra_body={"session_id": session}, **parameters)


def asked(upstream: StandIn) -> Turns:
    return turns(upstream.chats[-1].body)


def talk(*texts: str) -> Turns:
    """The stand-in echoes: each text but the last was also the answer."""
    echoed: Turns = [turn for text in texts for turn in (("user", [text]), ("assistant", [text]))]
    return echoed[:-1]


def blocks(gateway: Gateway) -> list[tuple[str, list[dict[str, Any]]]]:
    """The conversation that the model was asked, every block."""
    return [(turn["role"], turn["content"]) for turn in test_messages.asked(gateway)]


async def read_to_the_last_byte(http: aiohttp.ClientSession, url: str, text: str, *, stream: bool) -> None:
    """Ask and read an answer until it says that it is whole, and not a moment longer."""
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
async def test_the_model_is_asked_the_whole_conversation_each_time(upstream: StandIn, tmp_path: Path) -> None:
    async with gateway_on(upstream, tmp_path, chat_workers=3) as gateway:
        for number in range(5):
            texts = [f"turn {n}" for n in range(number + 1)]
            if number % 2:
                await say(gateway, texts[-1])
            else:
                await gateway.stream_text(texts[-1], extra_body={"session_id": "project-123"})
            assert asked(upstream) == talk(*texts)
        await say(gateway, "elsewhere", session="other")
        assert asked(upstream) == talk("elsewhere")
    assert len(upstream.chats) == 6


@pytest.mark.promise("sessions.not-doubled")
async def test_a_whole_history_is_not_doubled(upstream: StandIn, tmp_path: Path) -> None:
    async with gateway_on(upstream, tmp_path, chat_workers=3) as gateway:
        history: list[Any] = []
        for number in range(4):
            history.append({"role": "user", "content": f"turn {number}"})
            answer = await say(gateway, *history)
            history.append({"role": "assistant", "content": answer.choices[0].message.content})
            assert asked(upstream) == talk(*(f"turn {n}" for n in range(number + 1)))
        await say(gateway, "only the new one")
        assert asked(upstream) == [*talk(*(f"turn {n}" for n in range(4)), "only the new one")]


@pytest.mark.promise("sessions.survive")
async def test_a_session_survives_a_restart_with_every_block(upstream: StandIn, tmp_path: Path) -> None:
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
        gateway_on(upstream, tmp_path) as gateway,
        aiohttp.ClientSession(headers={"x-api-key": API_KEY}) as http,
        http.post(f"{gateway.url}/v1/messages", json=body) as response,
    ):
        thought, text, call = (await response.json())["content"]
    async with gateway_on(upstream, tmp_path) as gateway:
        result = {"role": "tool", "tool_call_id": call["id"], "content": "found"}
        answer = await say(gateway, result, session="s", tools=[TOOL])
    assert answer.choices[0].message.content == "1 tool result(s)"
    (_, asked_first), (_, said), (_, results) = blocks(gateway)
    assert asked_first == [question, image]
    assert said[:2] == [thought, text]
    assert (said[2]["id"], said[2]["input"], call["name"]) == (call["id"], {"a": 1}, "lookup")
    assert [block["tool_use_id"] for block in results] == [call["id"]]
    assert system_of(upstream.chats[-1].body) == ["Be brief."]


@pytest.mark.promise("sessions.survive")
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_a_session_survives_a_gateway_that_is_killed_after_the_last_byte(
    upstream: StandIn, tmp_path: Path, stream: bool
) -> None:
    texts: list[str] = []
    async with aiohttp.ClientSession() as http:
        for life in range(2):
            async with serving(tmp_path, for_stand_in(upstream)) as process:
                url = await address(process)
                texts.append(f"life {life}")
                await read_to_the_last_byte(http, url, texts[-1], stream=stream)
                process.kill()
            assert asked(upstream) == talk(*texts)


@pytest.mark.promise("sessions.survive")
async def test_a_session_survives_its_worker(upstream: StandIn, tmp_path: Path) -> None:
    async with gateway_on(upstream, tmp_path, chat_workers=1) as gateway:
        await say(gateway, "one")
        for pid in worker_pids():
            os.kill(pid, signal.SIGKILL)
        await say(gateway, "two")
    assert asked(upstream) == talk("one", "two")


@pytest.mark.promise("sessions.one-at-a-time")
async def test_two_requests_at_once_come_one_after_another(upstream: StandIn, tmp_path: Path) -> None:
    async with gateway_on(upstream, tmp_path) as gateway:
        await asyncio.gather(*(say(gateway, f"at once {number}") for number in range(3)))
    conversations = [turns(request.body) for request in upstream.chats]
    assert [len(conversation) for conversation in conversations] == [1, 3, 5]
    assert sorted(text for role, (text,) in conversations[-1] if role == "user") == [
        f"at once {number}" for number in range(3)
    ]


@pytest.mark.promise("sessions.own-only")
async def test_another_key_sees_nothing(upstream: StandIn, tmp_path: Path) -> None:
    async with gateway_on(upstream, tmp_path) as gateway:
        await say(gateway, "a secret")
    async with gateway_on(upstream, tmp_path, api_key=None) as gateway, aiohttp.ClientSession() as http:
        async with http.get(f"{gateway.url}/v1/sessions") as response:
            assert await response.json() == {"sessions": [], "total": 0}
        async with http.get(f"{gateway.url}/v1/sessions/project-123") as response:
            assert response.status == 404
        await say(gateway, "who is there?")
        assert asked(upstream) == talk("who is there?")


@pytest.mark.promise("sessions.tool-results")
async def test_results_alone_go_into_a_session_and_missing_ones_are_said(upstream: StandIn, tmp_path: Path) -> None:
    async with gateway_on(upstream, tmp_path, chat_workers=3) as gateway:
        first = await say(gateway, "go {{tool lookup {}}}{{tool lookup {}}}", tools=[TOOL])
        done, missing = first.choices[0].message.tool_calls
        second = await say(gateway, {"role": "tool", "tool_call_id": done.id, "content": "found"}, tools=[TOOL])
        assert second.choices[0].finish_reason == "stop"
        results = {block["tool_use_id"]: block for _, content in blocks(gateway)[2:] for block in content}
        assert (results.keys(), results[missing.id]["is_error"]) == ({done.id, missing.id}, True)
        await say(gateway, "and now?", tools=[TOOL])
        assert [role for role, _ in blocks(gateway)] == ["user", "assistant"] * 2 + ["user"]
    assert len(upstream.chats) == 3


async def test_a_database_that_cannot_be_used_is_one_clear_line(upstream: StandIn, tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    (state / "gateway.db").write_text("this is no database, whatever it is called " * 50)
    status, lines = await fails_with(tmp_path, {**for_stand_in(upstream), "STATE_DIR": str(state)})
    assert (status, len(lines)) == (1, 1)
    assert "gateway.db" in lines[0]
    assert "STATE_DIR" in lines[0]
