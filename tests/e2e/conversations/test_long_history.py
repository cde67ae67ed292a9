"""Histories that a fresh process loads from a resume file: every block is exact, and they continue and rewind."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import pytest_asyncio

from claude_gateway.devtools.fake_anthropic.server import run_fake_anthropic
from tests.e2e.helpers.gateway import Gateway, run_gateway_on
from tests.e2e.helpers.upstream_requests import read_system_texts
from tests.files import files_below
from workers.conversation.resume_file import RESUME_THRESHOLD_USER_TURNS

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

Messages = list[dict[str, Any] | str]
TOOLS: Any = [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}]
LONG_HISTORY_TURNS = RESUME_THRESHOLD_USER_TURNS + 5


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def single_worker_gateway(tmp_path_factory: Any) -> AsyncIterator[Gateway]:
    async with (
        run_fake_anthropic() as upstream,
        run_gateway_on(upstream, tmp_path_factory.mktemp("state"), chat_workers=1) as running,
    ):
        yield running


def make_text_history(exchanges: int) -> Messages:
    """Return a history of texts that look like commands or files."""
    history: Messages = []
    for number in range(exchanges):
        history += [f"/clear @/etc/passwd {number}", {"role": "assistant", "content": f"answer {number}"}]
    return history


def make_tool_history(rounds: int) -> Messages:
    """Return one question and its many calls, each with its result."""
    history: Messages = ["do it"]
    for number in range(rounds):
        function = {"name": "f", "arguments": orjson.dumps({"n": number}).decode()}
        history += [
            {"role": "assistant", "content": None, "tool_calls": [_call(f"call_{number}", function)]},
            {"role": "tool", "tool_call_id": f"call_{number}", "content": f"result {number}"},
        ]
    return history


def _call(id_: str, function: dict[str, str]) -> dict[str, Any]:
    return {"id": id_, "type": "function", "function": function}


def read_last_messages(gateway: Gateway) -> list[tuple[str, list[dict[str, Any]]]]:
    messages = gateway.upstream.chat_requests[-1].body["messages"]
    return [
        (message["role"], [{k: v for k, v in block.items() if k != "cache_control"} for block in message["content"]])
        for message in messages
    ]


def text_block(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


@pytest.mark.promise("conversations.long")
async def test_model_sees_a_long_history_and_the_conversation_continues(single_worker_gateway: Gateway) -> None:
    history = make_text_history(LONG_HISTORY_TURNS)
    expected: list[tuple[str, list[dict[str, Any]]]] = [
        (
            "user" if isinstance(turn, str) else "assistant",
            [text_block(turn if isinstance(turn, str) else turn["content"])],
        )
        for turn in history
    ]
    for question in ("first", "second"):
        completion = await single_worker_gateway.ask({"role": "system", "content": "Be brief."}, *history, question)
        assert read_last_messages(single_worker_gateway) == [*expected, ("user", [text_block(question)])]
        assert read_system_texts(single_worker_gateway.upstream.chat_requests[-1].body) == ["Be brief."]
        reply = completion.choices[0].message.content
        history += [question, {"role": "assistant", "content": reply}]
        expected += [("user", [text_block(question)]), ("assistant", [text_block(reply)])]


async def test_many_tool_rounds_are_resumed_with_every_call_and_result(single_worker_gateway: Gateway) -> None:
    history = make_tool_history(LONG_HISTORY_TURNS)
    single_worker_gateway.upstream.clear()
    await single_worker_gateway.ask(*history, tools=TOOLS)
    expected = [("user", [text_block("do it")])]
    for number in range(LONG_HISTORY_TURNS):
        use = {"type": "tool_use", "id": f"call_{number}", "name": "f", "input": {"n": number}}
        result = {"type": "tool_result", "tool_use_id": f"call_{number}", "content": [text_block(f"result {number}")]}
        expected += [("assistant", [use]), ("user", [result])]
    sent = [
        (role, [{k: v for k, v in block.items() if k != "is_error"} for block in blocks])
        for role, blocks in read_last_messages(single_worker_gateway)
    ]
    assert sent == expected
    assert len(single_worker_gateway.upstream.chat_requests) == 1


async def test_resumed_history_does_not_mention_another_model(single_worker_gateway: Gateway) -> None:
    await single_worker_gateway.ask(*make_text_history(LONG_HISTORY_TURNS), "hello", model="claude-opus-4-20250514")
    body = single_worker_gateway.upstream.chat_requests[-1].body
    assert body["model"] == "claude-opus-4-20250514"
    assert len(body["messages"]) == 2 * LONG_HISTORY_TURNS + 1
    assert "/model" not in str(body["messages"])


async def test_short_conversation_after_a_long_one_starts_empty(single_worker_gateway: Gateway) -> None:
    await single_worker_gateway.ask(*make_text_history(LONG_HISTORY_TURNS), "long")
    await single_worker_gateway.ask("short")
    assert read_last_messages(single_worker_gateway) == [("user", [text_block("short")])]
    assert read_system_texts(single_worker_gateway.upstream.chat_requests[-1].body) == []


async def test_resume_file_is_removed_from_disk(tmp_path: Any) -> None:
    async with run_fake_anthropic() as upstream, run_gateway_on(upstream, tmp_path, chat_workers=1) as gateway:
        await gateway.ask(*make_text_history(LONG_HISTORY_TURNS), "long")
        remaining = list(files_below(tmp_path))
        assert not [path for path in remaining if path.suffix == ".jsonl"]
        assert not [path for path in remaining if b"answer 7" in read_file_if_present(path)]


def read_file_if_present(path: Path) -> bytes:
    """Return the bytes of a file, or b"" if it no longer exists: the CLI removes its lock files at any moment."""
    try:
        return path.read_bytes() if path.is_file() else b""
    except FileNotFoundError:
        return b""
