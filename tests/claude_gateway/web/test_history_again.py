"""Clients that send the history of a session again, in another form: the session stores no turn twice."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from claude_gateway.devtools.cli_contract.sample_media import make_png
from claude_gateway.sessions.service import SessionService
from claude_gateway.sessions.session_lock import SessionLocks
from claude_gateway.sessions.session_store import SessionStore
from claude_gateway.storage.database import Database
from tests.claude_gateway.remote_server import RemoteServer, create_fetcher, run_remote_server
from tests.claude_gateway.scripted import HELLO_EVENTS, MODEL, STARTED, ScriptedWorkerSource, make_settings
from tests.claude_gateway.web.conftest import Client, Serve
from tests.workers.helpers import TIMEOUT_SECONDS
from workers.core.events import BlockEnded, BlockStarted, Finished, TokenUsage, ToolInputDelta
from workers.core.job import Image, Text, ToolResult, ToolUse, Turn

CHAT = "/v1/chat/completions"
GEMINI = f"/v1beta/models/{MODEL}:generateContent"
CALL_EVENTS = (
    STARTED,
    *(BlockStarted(ToolUse("toolu_1", "f", {})), ToolInputDelta('{"a":1}'), BlockEnded()),
    *(BlockStarted(ToolUse("toolu_2", "f", {})), ToolInputDelta('{"a":2}'), BlockEnded()),
    Finished("tool_use", TokenUsage()),
)
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
HELLO_MESSAGE = {"role": "assistant", "content": "Hello"}


@pytest.fixture
async def remote_server() -> AsyncIterator[RemoteServer]:
    async with run_remote_server() as server:
        yield server


class FullHistoryClient:
    """A client that sends the whole history with each request of a session."""

    def __init__(self, client: Client, worker_source: ScriptedWorkerSource) -> None:
        self._client = client
        self._worker_source = worker_source

    async def send(self, *messages: dict[str, Any], **fields: Any) -> str:
        """Send the whole history in a chat request, and return the warnings."""
        return await self._post(CHAT, {"model": MODEL, "messages": messages, "session_id": "s", **fields})

    async def send_gemini(self, *contents: dict[str, Any]) -> str:
        tools = [{"functionDeclarations": [{"name": "f"}]}]
        return await self._post(GEMINI, {"contents": contents, "sessionId": "s", "tools": tools})

    @property
    def last_turns(self) -> Sequence[Turn]:
        return self._worker_source.jobs[-1].turns

    async def _post(self, path: str, body: dict[str, Any]) -> str:
        response = await self._client.post(path, json=body)
        assert response.status == 200, await response.text()
        return response.headers.get("x-gateway-warnings", "")


@pytest.fixture
def start_client(serve: Serve, database: Database, remote_server: RemoteServer) -> Any:
    async def start(*attempts: Any) -> FullHistoryClient:
        worker_source = ScriptedWorkerSource([*attempts, HELLO_EVENTS, HELLO_EVENTS, HELLO_EVENTS])
        sessions = SessionService(
            SessionStore(database), make_settings().session_limits(), SessionLocks(10, TIMEOUT_SECONDS)
        )
        changes = {"fetch_remote_media": True, "fetcher": create_fetcher(remote_server)}
        return FullHistoryClient(await serve(worker_source, sessions=sessions, **changes), worker_source)

    return start


def image_message(url: str) -> dict[str, Any]:
    return {
        "role": "user",
        "content": [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": url}}],
    }


def user_message(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


@pytest.mark.promise("sessions.not-doubled")
async def test_image_url_matches_the_stored_image(start_client: Any, remote_server: RemoteServer) -> None:
    url = remote_server.set_response("/a.png", make_png(red=7))
    client = await start_client()
    history = [image_message(url)]

    assert await client.send(*history) == ""
    for _ in range(2):
        history += [HELLO_MESSAGE, user_message("And now?")]
        assert await client.send(*history) == ""

    assert [turn.role for turn in client.last_turns] == ["user", "assistant"] * 2 + ["user"]
    assert isinstance(client.last_turns[0].blocks[1], Image)
    assert len(remote_server.requests) == 1  # the gateway does not fetch an image of the session again


async def test_another_image_replaces_the_history_from_its_turn_on(
    start_client: Any, remote_server: RemoteServer
) -> None:
    url = remote_server.set_response("/a.png", make_png(red=7))
    other_url = remote_server.set_response("/b.png", make_png(red=9))
    client = await start_client()
    await client.send(user_message("Look."))
    await client.send(user_message("Look."), HELLO_MESSAGE, image_message(url))
    old_turn = client.last_turns[2]

    warnings = await client.send(
        user_message("Look."), HELLO_MESSAGE, image_message(other_url), HELLO_MESSAGE, user_message("And now?")
    )

    assert "session_id: changed the session from turn 3 on" in warnings
    assert [turn.role for turn in client.last_turns] == ["user", "assistant"] * 2 + ["user"]
    assert client.last_turns[2].blocks[1] != old_turn.blocks[1]


def call_message(*ids: str) -> dict[str, Any]:
    calls = [
        {"id": id_, "type": "function", "function": {"name": "f", "arguments": f'{{"a": {number}}}'}}
        for number, id_ in enumerate(ids, 1)
    ]
    return {"role": "assistant", "content": None, "tool_calls": calls}


def result_messages(*ids: str) -> list[dict[str, Any]]:
    return [{"role": "tool", "tool_call_id": id_, "content": f"of {id_[-1]}"} for id_ in ids]


@pytest.mark.parametrize("ids", [("toolu_1", "toolu_2"), ("call_1", "call_2")], ids=["same ids", "new ids"])
async def test_recognizes_renamed_call_ids(start_client: Any, ids: tuple[str, str]) -> None:
    client = await start_client(CALL_EVENTS)
    history = [user_message("Use it."), call_message(*ids), *result_messages(*reversed(ids))]
    await client.send(user_message("Use it."), tools=TOOLS)

    assert await client.send(*history, tools=TOOLS) == ""
    history += [HELLO_MESSAGE, user_message("And now?")]
    assert await client.send(*history, tools=TOOLS) == ""

    assert [turn.role for turn in client.last_turns] == ["user", "assistant"] * 2 + ["user"]
    calls = [block.id for block in client.last_turns[1].blocks]
    assert calls == ["toolu_1", "toolu_2"]  # the ids of the model
    assert [
        (block.tool_use_id, block.content) for block in client.last_turns[2].blocks if isinstance(block, ToolResult)
    ] == [
        ("toolu_2", (Text("of 2"),)),
        ("toolu_1", (Text("of 1"),)),
    ]


async def test_recognizes_call_ids_that_restart_in_each_message(start_client: Any) -> None:
    client = await start_client(CALL_EVENTS, CALL_EVENTS)
    history = [user_message("Use it.")]
    for _ in range(2):
        assert await client.send(*history, tools=TOOLS) == ""
        history += [call_message("1", "2"), *result_messages("1", "2")]
    assert await client.send(*history, tools=TOOLS) == ""
    history += [HELLO_MESSAGE, user_message("And now?")]

    assert await client.send(*history, tools=TOOLS) == ""

    assert [turn.role for turn in client.last_turns] == ["user", "assistant"] * 3 + ["user"]
    ids = [block.id for turn in client.last_turns for block in turn.blocks if isinstance(block, ToolUse)]
    assert len(set(ids)) == 4


async def test_recognizes_gemini_calls_without_ids(start_client: Any) -> None:
    client = await start_client(CALL_EVENTS)
    history: list[dict[str, Any]] = [{"role": "user", "parts": [{"text": "Use it."}]}]
    await client.send_gemini(*history)
    calls = [{"functionCall": {"name": "f", "args": {"a": number}}} for number in (1, 2)]
    results = [{"functionResponse": {"name": "f", "response": {"output": f"of {number}"}}} for number in (1, 2)]
    history += [{"role": "model", "parts": calls}, {"role": "user", "parts": results}]

    assert await client.send_gemini(*history) == ""
    history += [{"role": "model", "parts": [{"text": "Hello"}]}, {"role": "user", "parts": [{"text": "And now?"}]}]
    assert await client.send_gemini(*history) == ""

    assert [turn.role for turn in client.last_turns] == ["user", "assistant"] * 2 + ["user"]
    assert [block.id for block in client.last_turns[1].blocks] == ["toolu_1", "toolu_2"]
