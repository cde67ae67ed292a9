"""A history so long that a fresh process takes it up from a file: exact in every block, gone on with, cut back."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import pytest_asyncio

from claude_gateway.demo.upstream import stand_in
from tests.e2e.conftest import Gateway, gateway_on
from tests.e2e.test_chat import system_of
from tests.files import files_below
from workers.prepared import WORTH_A_PROCESS

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

Messages = list[dict[str, Any] | str]
TOOLS: Any = [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}]
LONG = WORTH_A_PROCESS + 5


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one_worker(tmp_path_factory: Any) -> AsyncIterator[Gateway]:
    async with (
        stand_in() as upstream,
        gateway_on(upstream, tmp_path_factory.mktemp("state"), chat_workers=1) as running,
    ):
        yield running


def plain(exchanges: int) -> Messages:
    """What looks like a command or a file stays text."""
    history: Messages = []
    for number in range(exchanges):
        history += [f"/clear @/etc/passwd {number}", {"role": "assistant", "content": f"answer {number}"}]
    return history


def tool_rounds(rounds: int) -> Messages:
    """One question and its many calls, the last of them answered too."""
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


def blocks_sent(gateway: Gateway) -> list[tuple[str, list[dict[str, Any]]]]:
    messages = gateway.upstream.chats[-1].body["messages"]
    return [
        (message["role"], [{k: v for k, v in block.items() if k != "cache_control"} for block in message["content"]])
        for message in messages
    ]


def text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


@pytest.mark.promise("conversations.long")
async def test_a_long_history_is_what_the_model_sees_and_goes_on(one_worker: Gateway) -> None:
    history = plain(LONG)
    expected: list[tuple[str, list[dict[str, Any]]]] = [
        ("user" if isinstance(one, str) else "assistant", [text(one if isinstance(one, str) else one["content"])])
        for one in history
    ]
    for question in ("first", "second"):
        answer = await one_worker.ask({"role": "system", "content": "Be brief."}, *history, question)
        assert blocks_sent(one_worker) == [*expected, ("user", [text(question)])]
        assert system_of(one_worker.upstream.chats[-1].body) == ["Be brief."]
        said = answer.choices[0].message.content
        history += [question, {"role": "assistant", "content": said}]
        expected += [("user", [text(question)]), ("assistant", [text(said)])]


async def test_many_tool_rounds_are_taken_up_with_every_call_and_result(one_worker: Gateway) -> None:
    history = tool_rounds(LONG)
    one_worker.upstream.forget()
    await one_worker.ask(*history, tools=TOOLS)
    expected = [("user", [text("do it")])]
    for number in range(LONG):
        use = {"type": "tool_use", "id": f"call_{number}", "name": "f", "input": {"n": number}}
        result = {"type": "tool_result", "tool_use_id": f"call_{number}", "content": [text(f"result {number}")]}
        expected += [("assistant", [use]), ("user", [result])]
    sent = [
        (role, [{k: v for k, v in block.items() if k != "is_error"} for block in blocks])
        for role, blocks in blocks_sent(one_worker)
    ]
    assert sent == expected
    assert len(one_worker.upstream.chats) == 1


async def test_another_model_is_not_noted_in_it(one_worker: Gateway) -> None:
    await one_worker.ask(*plain(LONG), "hello", model="claude-opus-4-20250514")
    body = one_worker.upstream.chats[-1].body
    assert body["model"] == "claude-opus-4-20250514"
    assert len(body["messages"]) == 2 * LONG + 1
    assert "/model" not in str(body["messages"])


async def test_after_it_a_short_conversation_begins_with_nothing(one_worker: Gateway) -> None:
    await one_worker.ask(*plain(LONG), "long")
    await one_worker.ask("short")
    assert blocks_sent(one_worker) == [("user", [text("short")])]
    assert system_of(one_worker.upstream.chats[-1].body) == []


async def test_nothing_of_it_stays_on_the_disk(tmp_path: Any) -> None:
    async with stand_in() as upstream, gateway_on(upstream, tmp_path, chat_workers=1) as gateway:
        await gateway.ask(*plain(LONG), "long")
        left = list(files_below(tmp_path))
        assert not [path for path in left if path.suffix == ".jsonl"]
        assert not [path for path in left if b"answer 7" in content(path)]


def content(path: Path) -> bytes:
    """Of a file that is still there: the CLI has locks that go at any moment."""
    try:
        return path.read_bytes() if path.is_file() else b""
    except FileNotFoundError:
        return b""
