"""Tests for sessions: continuing a conversation in any dialect, and listing, showing and deleting sessions."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest
from pydantic import SecretStr
from yarl import URL

from claude_gateway.sessions.service import SessionService
from claude_gateway.sessions.session import SessionLimits
from claude_gateway.sessions.session_lock import SessionLocks
from claude_gateway.sessions.session_store import SessionStore
from claude_gateway.storage.database import Database
from tests.claude_gateway.manual_clock import ManualClock
from tests.claude_gateway.scripted import FINISHED, MODEL, STARTED, ScriptedWorkerSource, ScriptStep
from tests.claude_gateway.web.conftest import Client, Serve
from tests.workers.helpers import TIMEOUT_SECONDS, assistant_turn, user_turn, with_timeout
from workers.core.errors import ErrorKind, WorkerError
from workers.core.events import BlockEnded, BlockStarted, Finished, TextDelta, TokenUsage, ToolInputDelta
from workers.core.job import Text, ToolResult, ToolUse, Turn

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
HELLO_STEPS = (STARTED, BlockStarted(Text("")), TextDelta("Hello"), BlockEnded(), FINISHED)
CALL_STEPS = (
    STARTED,
    *(BlockStarted(ToolUse("c1", "f", {})), ToolInputDelta('{"a":1}'), BlockEnded()),
    *(BlockStarted(ToolUse("c2", "f", {})), ToolInputDelta('{"a":2}'), BlockEnded()),
    Finished("tool_use", TokenUsage()),
)
CALLS_TURN = Turn("assistant", (ToolUse("c1", "f", {"a": 1}), ToolUse("c2", "f", {"a": 2})))
LIMITS = SessionLimits(
    ttl_seconds=3600, max_sessions_per_key=100, max_bytes_per_session=100_000, max_bytes_per_key=200_000
)
# 2025-01-15T10:30:00Z
MORNING = 1_736_937_000.0


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(MORNING)


@pytest.fixture
def sessions(database: Database, clock: ManualClock) -> SessionService:
    return SessionService(SessionStore(database), LIMITS, SessionLocks(10, TIMEOUT_SECONDS), clock)


class SessionClient:
    """A client with a key, and the jobs that its requests became."""

    def __init__(self, client: Client, dispatcher: ScriptedWorkerSource) -> None:
        self.client = client
        self.dispatcher = dispatcher

    async def send(self, *messages: Any, path: str = CHAT, session: Any = "s", **more: Any) -> Any:
        """Send messages in a session and return the response; a plain string is a user message."""
        request_messages = [
            {"role": "user", "content": message} if isinstance(message, str) else message for message in messages
        ]
        body = {"model": MODEL, "messages": request_messages, "session_id": session, **more}
        return await self.client.post(path, json=body)

    async def send_gemini(self, *parts: dict[str, Any], method: str = "generateContent", session: str = "s") -> Any:
        body = {"contents": [{"role": "user", "parts": list(parts)}], "sessionId": session}
        return await self.client.post(f"/v1beta/models/{MODEL}:{method}", json=body)

    async def get(self, path: str, status: int = 200) -> Any:
        response = await self.client.get(URL(path, encoded=True))
        assert response.status == status, await response.text()
        return await response.json()

    @property
    def last_turns(self) -> tuple[Turn, ...]:
        """The turns of the last job."""
        return self.dispatcher.jobs[-1].turns


@pytest.fixture
def connect(serve: Serve, sessions: SessionService) -> Any:
    """Create clients for a test.

    `await connect(*replies)`; the last reply is repeated.
    """

    async def start(*replies: Iterable[ScriptStep], **settings: Any) -> SessionClient:
        *first, last = replies or (HELLO_STEPS,)

        def list_replies() -> Iterable[Iterable[ScriptStep]]:
            yield from first
            while True:
                yield last

        dispatcher = ScriptedWorkerSource(list_replies())
        return SessionClient(await serve(dispatcher, sessions=sessions, **settings), dispatcher)

    return start


@pytest.mark.promise("sessions.remember")
@pytest.mark.parametrize("more", [{}, {"stream": True}], ids=["whole", "stream"])
@pytest.mark.parametrize("path", [CHAT, MESSAGES])
async def test_continues_session_with_new_messages_only(connect: Any, path: str, more: dict[str, Any]) -> None:
    ann = await connect()

    for text in ("one", "two"):
        response = await ann.send(text, path=path, **more)
        assert response.status == 200
        assert "x-gateway-warnings" not in response.headers
        await response.text()

    assert ann.last_turns == (user_turn("one"), assistant_turn("Hello"), user_turn("two"))


async def test_session_continues_in_another_dialect(connect: Any) -> None:
    ann = await connect()

    await ann.send("one")
    await ann.send("two", path=MESSAGES)
    await ann.send("three")

    assert [turn.role for turn in ann.last_turns] == ["user", "assistant"] * 2 + ["user"]


@pytest.mark.promise("sessions.remember")
@pytest.mark.parametrize("method", ["generateContent", "streamGenerateContent", "streamGenerateContent?alt=sse"])
async def test_session_continues_in_gemini_dialect(connect: Any, method: str) -> None:
    ann = await connect()

    await ann.send({"role": "system", "content": "be brief"}, "one")
    for text in ("two", "three"):
        response = await ann.send_gemini({"text": text}, method=method)
        assert response.status == 200
        await response.text()

    assert ann.last_turns == (
        user_turn("one"),
        assistant_turn("Hello"),
        user_turn("two"),
        assistant_turn("Hello"),
        user_turn("three"),
    )
    assert ann.dispatcher.jobs[-1].system == "be brief"


async def test_sessions_are_separate_and_a_request_without_one_is_not_stored(connect: Any) -> None:
    ann = await connect()

    await ann.send("one")
    await ann.send("other", session="t")
    assert ann.last_turns == (user_turn("other"),)
    await ann.send("none", session=None)
    assert ann.last_turns == (user_turn("none"),)
    await ann.send("none", session="")
    assert ann.last_turns == (user_turn("none"),)


async def test_keeps_system_prompt_until_another_is_sent(connect: Any) -> None:
    ann = await connect()

    await ann.send({"role": "system", "content": "be brief"}, "one")
    await ann.send("two")
    await ann.send("three", path=MESSAGES)
    await ann.send("four", path=MESSAGES, system="be long")
    await ann.send("five")

    assert [job.system for job in ann.dispatcher.jobs] == ["be brief"] * 3 + ["be long"] * 2
    assert ann.last_turns[0] == user_turn("one")


@pytest.mark.promise("sessions.not-doubled")
@pytest.mark.parametrize("path", [CHAT, MESSAGES])
async def test_does_not_duplicate_resent_history(connect: Any, path: str) -> None:
    ann = await connect()
    history: list[Any] = []
    for text in ("one", "two", "three"):
        history.append({"role": "user", "content": text})
        await ann.send(*history, path=path)
        history.append({"role": "assistant", "content": "Hello"})

    assert ann.last_turns == tuple(
        assistant_turn(message["content"]) if message["role"] == "assistant" else user_turn(message["content"])
        for message in history[:-1]
    )


@pytest.mark.promise("sessions.tool-results")
@pytest.mark.parametrize(
    ("path", "results"),
    [
        (CHAT, [{"role": "tool", "tool_call_id": id_, "content": "done"} for id_ in ("c2", "c1")]),
        (
            MESSAGES,
            [
                {
                    "role": "user",
                    "content": [{"type": "tool_result", "tool_use_id": id_, "content": "done"} for id_ in ("c2", "c1")],
                }
            ],
        ),
    ],
    ids=["chat", "messages"],
)
async def test_tool_results_alone_complete_the_open_calls(connect: Any, path: str, results: list[Any]) -> None:
    ann = await connect(CALL_STEPS, HELLO_STEPS)
    await ann.send("use it", path=path)

    response = await ann.send(*results, path=path)

    assert response.status == 200
    results_turn = tuple(ToolResult(id_, (Text("done"),)) for id_ in ("c2", "c1"))
    assert ann.last_turns == (user_turn("use it"), CALLS_TURN, Turn("user", results_turn))


@pytest.mark.parametrize(
    "identity", [{"id": "c2", "name": "f"}, {"name": "f"}, {"id": "c2"}], ids=["by both", "by name and order", "by id"]
)
async def test_gemini_function_responses_alone_complete_the_open_calls(connect: Any, identity: dict[str, str]) -> None:
    ann = await connect(CALL_STEPS, HELLO_STEPS)
    await ann.send("use it")

    response = await ann.send_gemini({"functionResponse": {**identity, "response": {"output": "done"}}})

    assert response.status == 200
    call_id = identity.get("id", "c1")
    (result,) = [block for block in ann.last_turns[-1].blocks if block.tool_use_id == call_id]
    assert result == ToolResult(call_id, (Text("done"),))


async def test_reports_missing_result_and_continues_the_session(connect: Any) -> None:
    ann = await connect(CALL_STEPS, HELLO_STEPS)
    await ann.send("use it")

    response = await ann.send({"role": "tool", "tool_call_id": "c1", "content": "done"})

    assert (response.status, "c2" in response.headers["x-gateway-warnings"]) == (200, True)
    await ann.send("and now?")
    assert len(ann.last_turns) == 5


async def test_stores_orphan_result_as_text_with_a_warning(connect: Any) -> None:
    ann = await connect(CALL_STEPS, HELLO_STEPS)
    await ann.send("use it")

    response = await ann.send({"role": "tool", "tool_call_id": "c9", "content": "done"})

    assert response.status == 200
    assert (
        "converted the result of 'c9' to text (the request has no such call)" in response.headers["x-gateway-warnings"]
    )
    assert (await ann.get("/v1/sessions/s"))["message_count"] == 4


async def test_rejects_result_for_a_deleted_session_and_changes_nothing(connect: Any) -> None:
    ann = await connect(HELLO_STEPS)

    response = await ann.send({"role": "tool", "tool_call_id": "c9", "content": "done"})

    assert response.status == 400
    assert "c9" in (await response.json())["error"]["message"]


async def test_shows_session_as_in_the_guide(connect: Any, clock: ManualClock) -> None:
    ann = await connect()
    await ann.send("one", session="project-123")
    clock.now += 45 * 60
    await ann.send("two", session="project-123")

    assert await ann.get("/v1/sessions/project-123") == {
        "session_id": "project-123",
        "created_at": "2025-01-15T10:30:00Z",
        "last_accessed": "2025-01-15T11:15:00Z",
        "message_count": 4,
        "expires_at": "2025-01-15T12:15:00Z",
    }


async def test_lists_and_counts_sessions(connect: Any, clock: ManualClock) -> None:
    ann = await connect()
    assert await ann.get("/v1/sessions") == {"sessions": [], "total": 0}
    await ann.send("one", session="old")
    clock.now += 1800
    await ann.send("one", session="a")
    clock.now += 1800
    await ann.send("one", session="b")

    listed = await ann.get("/v1/sessions")
    assert ([session["session_id"] for session in listed["sessions"]], listed["total"]) == (["b", "a"], 2)
    assert listed["sessions"][0] == await ann.get("/v1/sessions/b")
    assert await ann.get("/v1/sessions/stats") == {
        "session_stats": {"active_sessions": 2, "expired_sessions": 1, "total_messages": 4},
        "cleanup_interval_minutes": 5,
        "default_ttl_hours": 1,
    }


async def test_deletes_session(connect: Any) -> None:
    ann = await connect()
    await ann.send("one", session="project-123")

    response = await ann.client.delete("/v1/sessions/project-123")

    assert (response.status, await response.json()) == (200, {"message": "Session project-123 deleted successfully"})
    await ann.get("/v1/sessions/project-123", status=404)
    await ann.send("two", session="project-123")
    assert ann.last_turns == (user_turn("two"),)


@pytest.mark.parametrize(
    ("id_", "path"),
    [
        ("a/b", "a/b"),
        ("a/b", "a%2Fb"),
        ("a%2Fb", "a%252Fb"),
        ("100%", "100%25"),
        ("where?", "where%3F"),
        ("a b+c", "a%20b+c"),
        ("محادثة", "%D9%85%D8%AD%D8%A7%D8%AF%D8%AB%D8%A9"),
        ("x//y/", "x//y/"),
        ("stats/x", "stats/x"),
    ],
)
async def test_every_session_id_has_a_path(connect: Any, id_: str, path: str) -> None:
    ann = await connect()
    await ann.send("one", session=id_)

    assert (await ann.get(f"/v1/sessions/{path}"))["session_id"] == id_
    response = await ann.client.delete(URL(f"/v1/sessions/{path}", encoded=True))
    assert response.status == 200
    await ann.get(f"/v1/sessions/{path}", status=404)


@pytest.mark.promise("sessions.own-only")
async def test_hides_sessions_of_other_keys(connect: Any) -> None:
    ann = await connect()
    bob = await connect(api_key=SecretStr("bob's"))
    bob.client.session.headers["x-api-key"] = "bob's"
    await ann.send("ann's secret")

    error = await bob.get("/v1/sessions/s", status=404)
    assert error == await bob.get("/v1/sessions/none", status=404)
    assert error["error"]["code"] == "session_not_found"
    assert (await bob.client.delete("/v1/sessions/s")).status == 404
    assert await bob.get("/v1/sessions") == {"sessions": [], "total": 0}
    assert (await bob.get("/v1/sessions/stats"))["session_stats"]["active_sessions"] == 0
    await bob.send("bob's own")
    assert bob.last_turns == (user_turn("bob's own"),)
    await ann.send("still there?")
    assert ann.last_turns[0] == user_turn("ann's secret")


@pytest.mark.parametrize(("id_", "status"), [("x" * 257, 400), ("a\u0000b", 400), (7, 422), (["s"], 422)])
async def test_rejects_invalid_session_id_and_names_the_field(connect: Any, id_: Any, status: int) -> None:
    ann = await connect()
    for path, expected in ((CHAT, status), (MESSAGES, 400)):
        response = await ann.send("one", session=id_, path=path)
        assert response.status == expected
        assert "session_id" in await response.text()
    assert ann.dispatcher.jobs == []


@pytest.mark.promise("sessions.failed-is-not-stored")
async def test_failed_reply_leaves_the_session_unchanged(connect: Any) -> None:
    failing = [*HELLO_STEPS[:3], WorkerError(ErrorKind.OVERLOADED, "Overloaded.")]
    ann = await connect(HELLO_STEPS, failing, failing, HELLO_STEPS)
    await ann.send("one")

    assert (await ann.send("lost")).status == 503
    assert "Overloaded." in await (await ann.send("lost", stream=True)).text()
    await ann.send("two")

    assert ann.last_turns == (user_turn("one"), assistant_turn("Hello"), user_turn("two"))


@pytest.mark.promise("sessions.failed-is-not-stored")
async def test_abandoned_reply_is_not_stored_and_blocks_no_later_request(connect: Any) -> None:
    ann = await connect([*HELLO_STEPS[:3], asyncio.Event()], HELLO_STEPS)
    abandoned = await ann.send("abandoned", stream=True)
    await abandoned.content.readline()
    abandoned.close()

    response = await with_timeout(ann.send("two"))

    assert response.status == 200
    assert ann.last_turns == (user_turn("two"),)


@pytest.mark.promise("sessions.one-at-a-time")
async def test_second_request_waits_for_the_first_and_continues_it(connect: Any) -> None:
    more = asyncio.Event()
    ann = await connect([*HELLO_STEPS[:2], more, *HELLO_STEPS[2:]], HELLO_STEPS)
    first = asyncio.create_task(ann.send("one"))
    await with_timeout(ann.dispatcher.job_started.wait())
    second = asyncio.create_task(ann.send("two"))
    await ann.send("elsewhere", session="t")
    assert len(ann.dispatcher.jobs) == 2

    more.set()
    await with_timeout(asyncio.gather(first, second))

    assert ann.last_turns == (user_turn("one"), assistant_turn("Hello"), user_turn("two"))


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
async def test_rejects_request_with_409_if_the_session_is_busy_too_long(
    serve: Serve, database: Database, clock: ManualClock, path: str
) -> None:
    dispatcher = ScriptedWorkerSource([[*HELLO_STEPS[:3], asyncio.Event()]])
    sessions = SessionService(SessionStore(database), LIMITS, SessionLocks(10, 0.01), clock)
    ann = SessionClient(await serve(dispatcher, sessions=sessions), dispatcher)
    running = await ann.send("one", stream=True)

    response = await ann.send("two", path=path)

    assert (response.status, response.headers["Retry-After"]) == (409, "5")
    error = (await response.json())["error"]
    assert error["type"] == ("validation_error" if path == CHAT else "invalid_request_error")
    assert "session" in error["message"]
    running.close()


@pytest.mark.promise("sessions.deleted-during-reply")
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("path", [CHAT, MESSAGES])
async def test_deleting_the_session_ends_a_running_reply_with_409(connect: Any, path: str, stream: bool) -> None:
    more = asyncio.Event()
    ann = await connect(HELLO_STEPS, [*HELLO_STEPS[:3], more, *HELLO_STEPS[3:]])
    await ann.send("one")
    ann.dispatcher.job_started.clear()
    running = asyncio.create_task(ann.send("two", path=path, stream=stream))
    await with_timeout(ann.dispatcher.job_started.wait())
    assert (await ann.client.delete("/v1/sessions/s")).status == 200
    more.set()

    response = await with_timeout(running)

    text = await response.text()
    assert response.status == (200 if stream else 409)
    assert "was deleted or changed" in text
    assert "[DONE]" not in text
    assert "message_stop" not in text
    await ann.get("/v1/sessions/s", status=404)
