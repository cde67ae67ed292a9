"""A session's whole history sent again, by programs that tell it in words of their own: nothing of it is doubled."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from claude_gateway.cli_facts.pictures import png
from claude_gateway.sessions.lines import Lines
from claude_gateway.sessions.register import Sessions
from claude_gateway.stores.db import Database
from claude_gateway.stores.sessions import SessionStore
from tests.claude_gateway.scripted import HELLO, MODEL, STARTED, ScriptedDispatcher
from tests.claude_gateway.scripted import settings as usual
from tests.claude_gateway.web.conftest import Client, Serve
from tests.claude_gateway.web.strangers import Stranger, fetcher_to, stranger
from tests.workers.helpers import PATIENCE
from workers.events import BlockEnded, BlockStarted, Finished, InputDelta, Usage
from workers.job import Image, Text, ToolResult, ToolUse, Turn

CHAT = "/v1/chat/completions"
GEMINI = f"/v1beta/models/{MODEL}:generateContent"
CALLING = (
    STARTED,
    *(BlockStarted(ToolUse("toolu_1", "f", {})), InputDelta('{"a":1}'), BlockEnded()),
    *(BlockStarted(ToolUse("toolu_2", "f", {})), InputDelta('{"a":2}'), BlockEnded()),
    Finished("tool_use", Usage()),
)
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
SAID = {"role": "assistant", "content": "Hello"}


@pytest.fixture
async def outside() -> AsyncIterator[Stranger]:
    async with stranger() as server:
        yield server


class Caller:
    def __init__(self, client: Client, dispatcher: ScriptedDispatcher) -> None:
        self._client = client
        self._dispatcher = dispatcher

    async def tell(self, *messages: dict[str, Any], **more: Any) -> str:
        """The whole history in a chat; the warnings that come back."""
        return await self._post(CHAT, {"model": MODEL, "messages": messages, "session_id": "s", **more})

    async def tell_gemini(self, *contents: dict[str, Any]) -> str:
        tools = [{"functionDeclarations": [{"name": "f"}]}]
        return await self._post(GEMINI, {"contents": contents, "sessionId": "s", "tools": tools})

    @property
    def asked(self) -> Sequence[Turn]:
        return self._dispatcher.jobs[-1].turns

    async def _post(self, path: str, body: dict[str, Any]) -> str:
        response = await self._client.post(path, json=body)
        assert response.status == 200, await response.text()
        return response.headers.get("x-gateway-warnings", "")


@pytest.fixture
def caller(serve: Serve, database: Database, outside: Stranger) -> Any:
    async def start(*answers: Any) -> Caller:
        dispatcher = ScriptedDispatcher([*answers, HELLO, HELLO, HELLO])
        sessions = Sessions(SessionStore(database), usual().sessions(), Lines(10, PATIENCE))
        changes = {"fetch_remote_images": True, "fetcher": fetcher_to(outside)}
        return Caller(await serve(dispatcher, sessions=sessions, **changes), dispatcher)

    return start


def shown(url: str) -> dict[str, Any]:
    return {
        "role": "user",
        "content": [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": url}}],
    }


def asks(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


@pytest.mark.promise("sessions.not-doubled")
async def test_a_picture_by_its_url_is_the_one_that_is_remembered(caller: Any, outside: Stranger) -> None:
    url = outside.gives("/a.png", png(colour=7))
    ann = await caller()
    history = [shown(url)]

    assert await ann.tell(*history) == ""
    for _ in range(2):
        history += [SAID, asks("And now?")]
        assert await ann.tell(*history) == ""

    assert [turn.role for turn in ann.asked] == ["user", "assistant"] * 2 + ["user"]
    assert isinstance(ann.asked[0].blocks[1], Image)
    assert len(outside.asked) == 1  # what is remembered is not fetched again


async def test_another_picture_in_its_place_counts_as_it_is_told(caller: Any, outside: Stranger) -> None:
    one, other = outside.gives("/a.png", png(colour=7)), outside.gives("/b.png", png(colour=9))
    ann = await caller()
    await ann.tell(asks("Look."))
    await ann.tell(asks("Look."), SAID, shown(one))
    before = ann.asked[2]

    warned = await ann.tell(asks("Look."), SAID, shown(other), SAID, asks("And now?"))

    assert "session_id: what it remembers from turn 3 on" in warned
    assert [turn.role for turn in ann.asked] == ["user", "assistant"] * 2 + ["user"]
    assert ann.asked[2].blocks[1] != before.blocks[1]


def called(*ids: str) -> dict[str, Any]:
    calls = [
        {"id": id_, "type": "function", "function": {"name": "f", "arguments": f'{{"a": {number}}}'}}
        for number, id_ in enumerate(ids, 1)
    ]
    return {"role": "assistant", "content": None, "tool_calls": calls}


def answered(*ids: str) -> list[dict[str, Any]]:
    return [{"role": "tool", "tool_call_id": id_, "content": f"of {id_[-1]}"} for id_ in ids]


@pytest.mark.parametrize("ids", [("toolu_1", "toolu_2"), ("call_1", "call_2")], ids=["as they came", "its own"])
async def test_a_program_may_call_the_calls_what_it_likes(caller: Any, ids: tuple[str, str]) -> None:
    ann = await caller(CALLING)
    history = [asks("Use it."), called(*ids), *answered(*reversed(ids))]
    await ann.tell(asks("Use it."), tools=TOOLS)

    assert await ann.tell(*history, tools=TOOLS) == ""
    history += [SAID, asks("And now?")]
    assert await ann.tell(*history, tools=TOOLS) == ""

    assert [turn.role for turn in ann.asked] == ["user", "assistant"] * 2 + ["user"]
    calls = [block.id for block in ann.asked[1].blocks]
    assert calls == ["toolu_1", "toolu_2"]  # the model's own
    assert [(one.tool_use_id, one.content) for one in ann.asked[2].blocks if isinstance(one, ToolResult)] == [
        ("toolu_2", (Text("of 2"),)),
        ("toolu_1", (Text("of 1"),)),
    ]


async def test_ids_that_count_within_a_message_are_known_again(caller: Any) -> None:
    ann = await caller(CALLING, CALLING)
    history = [asks("Use it.")]
    for _ in range(2):
        assert await ann.tell(*history, tools=TOOLS) == ""
        history += [called("1", "2"), *answered("1", "2")]
    assert await ann.tell(*history, tools=TOOLS) == ""
    history += [SAID, asks("And now?")]

    assert await ann.tell(*history, tools=TOOLS) == ""

    assert [turn.role for turn in ann.asked] == ["user", "assistant"] * 3 + ["user"]
    ids = [block.id for turn in ann.asked for block in turn.blocks if isinstance(block, ToolUse)]
    assert len(set(ids)) == 4


async def test_gemini_s_calls_without_ids_are_known_again(caller: Any) -> None:
    ann = await caller(CALLING)
    history: list[dict[str, Any]] = [{"role": "user", "parts": [{"text": "Use it."}]}]
    await ann.tell_gemini(*history)
    calls = [{"functionCall": {"name": "f", "args": {"a": number}}} for number in (1, 2)]
    results = [{"functionResponse": {"name": "f", "response": {"output": f"of {number}"}}} for number in (1, 2)]
    history += [{"role": "model", "parts": calls}, {"role": "user", "parts": results}]

    assert await ann.tell_gemini(*history) == ""
    history += [{"role": "model", "parts": [{"text": "Hello"}]}, {"role": "user", "parts": [{"text": "And now?"}]}]
    assert await ann.tell_gemini(*history) == ""

    assert [turn.role for turn in ann.asked] == ["user", "assistant"] * 2 + ["user"]
    assert [block.id for block in ann.asked[1].blocks] == ["toolu_1", "toolu_2"]
