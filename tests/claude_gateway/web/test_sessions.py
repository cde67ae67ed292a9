"""Sessions as a caller sees them: only what is new need be sent, in any dialect; listed, shown, deleted."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest
from pydantic import SecretStr
from yarl import URL

from claude_gateway.sessions.lines import Lines
from claude_gateway.sessions.register import Sessions
from claude_gateway.sessions.session import SessionLimits
from claude_gateway.stores.db import Database
from claude_gateway.stores.sessions import SessionStore
from tests.claude_gateway.scripted import FINISHED, MODEL, STARTED, ScriptedDispatcher, Step
from tests.claude_gateway.web.conftest import Client, Serve
from tests.workers.helpers import PATIENCE, assistant, soon, user
from workers.errors import ErrorKind, WorkerError
from workers.events import BlockEnded, BlockStarted, Finished, InputDelta, TextDelta, Usage
from workers.job import Text, ToolResult, ToolUse, Turn

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
HELLO = (STARTED, BlockStarted(Text("")), TextDelta("Hello"), BlockEnded(), FINISHED)
CALLING = (
    STARTED,
    *(BlockStarted(ToolUse("c1", "f", {})), InputDelta('{"a":1}'), BlockEnded()),
    *(BlockStarted(ToolUse("c2", "f", {})), InputDelta('{"a":2}'), BlockEnded()),
    Finished("tool_use", Usage()),
)
CALLS = Turn("assistant", (ToolUse("c1", "f", {"a": 1}), ToolUse("c2", "f", {"a": 2})))
LIMITS = SessionLimits(ttl=3600, per_key=100, bytes_each=100_000, bytes_per_key=200_000)
# 2025-01-15T10:30:00Z
MORNING = 1_736_937_000.0


class Clock:
    time = MORNING

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sessions(database: Database, clock: Clock) -> Sessions:
    return Sessions(SessionStore(database), LIMITS, Lines(10, PATIENCE), clock)


class Caller:
    """Somebody with a key, and what the engine was asked for him."""

    def __init__(self, client: Client, dispatcher: ScriptedDispatcher) -> None:
        self.client = client
        self.dispatcher = dispatcher

    async def say(self, *messages: Any, path: str = CHAT, session: Any = "s", **more: Any) -> Any:
        """A request of a session; a bare string is a user message. Returns the response."""
        sent = [{"role": "user", "content": one} if isinstance(one, str) else one for one in messages]
        body = {"model": MODEL, "messages": sent, "session_id": session, **more}
        return await self.client.post(path, json=body)

    async def say_to_gemini(self, *parts: dict[str, Any], method: str = "generateContent", session: str = "s") -> Any:
        body = {"contents": [{"role": "user", "parts": list(parts)}], "sessionId": session}
        return await self.client.post(f"/v1beta/models/{MODEL}:{method}", json=body)

    async def get(self, path: str, status: int = 200) -> Any:
        response = await self.client.get(URL(path, encoded=True))
        assert response.status == status, await response.text()
        return await response.json()

    @property
    def asked(self) -> tuple[Turn, ...]:
        """The conversation of the last job."""
        return self.dispatcher.jobs[-1].turns


@pytest.fixture
def caller(serve: Serve, sessions: Sessions) -> Any:
    """`await caller(*answers)`; the last answer is given for ever."""

    async def start(*answers: Iterable[Step], **settings: Any) -> Caller:
        *first, last = answers or (HELLO,)

        def attempts() -> Iterable[Iterable[Step]]:
            yield from first
            while True:
                yield last

        dispatcher = ScriptedDispatcher(attempts())
        return Caller(await serve(dispatcher, sessions=sessions, **settings), dispatcher)

    return start


@pytest.mark.promise("sessions.remember")
@pytest.mark.parametrize("more", [{}, {"stream": True}], ids=["whole", "stream"])
@pytest.mark.parametrize("path", [CHAT, MESSAGES])
async def test_only_what_is_new_need_be_sent(caller: Any, path: str, more: dict[str, Any]) -> None:
    ann = await caller()

    for text in ("one", "two"):
        response = await ann.say(text, path=path, **more)
        assert response.status == 200
        assert "x-gateway-warnings" not in response.headers
        await response.text()

    assert ann.asked == (user("one"), assistant("Hello"), user("two"))


async def test_a_session_may_go_on_in_another_dialect(caller: Any) -> None:
    ann = await caller()

    await ann.say("one")
    await ann.say("two", path=MESSAGES)
    await ann.say("three")

    assert [turn.role for turn in ann.asked] == ["user", "assistant"] * 2 + ["user"]


@pytest.mark.promise("sessions.remember")
@pytest.mark.parametrize("method", ["generateContent", "streamGenerateContent", "streamGenerateContent?alt=sse"])
async def test_a_session_goes_on_in_gemini_s_words_too(caller: Any, method: str) -> None:
    ann = await caller()

    await ann.say({"role": "system", "content": "be brief"}, "one")
    for text in ("two", "three"):
        response = await ann.say_to_gemini({"text": text}, method=method)
        assert response.status == 200
        await response.text()

    assert ann.asked == (user("one"), assistant("Hello"), user("two"), assistant("Hello"), user("three"))
    assert ann.dispatcher.jobs[-1].system == "be brief"


async def test_sessions_do_not_meet_and_a_request_without_one_remembers_nothing(caller: Any) -> None:
    ann = await caller()

    await ann.say("one")
    await ann.say("other", session="t")
    assert ann.asked == (user("other"),)
    await ann.say("none", session=None)
    assert ann.asked == (user("none"),)
    await ann.say("none", session="")
    assert ann.asked == (user("none"),)


async def test_a_system_prompt_stays_until_another_is_sent(caller: Any) -> None:
    ann = await caller()

    await ann.say({"role": "system", "content": "be brief"}, "one")
    await ann.say("two")
    await ann.say("three", path=MESSAGES)
    await ann.say("four", path=MESSAGES, system="be long")
    await ann.say("five")

    assert [job.system for job in ann.dispatcher.jobs] == ["be brief"] * 3 + ["be long"] * 2
    assert ann.asked[0] == user("one")


@pytest.mark.promise("sessions.not-doubled")
@pytest.mark.parametrize("path", [CHAT, MESSAGES])
async def test_a_caller_who_sends_his_whole_history_doubles_nothing(caller: Any, path: str) -> None:
    ann = await caller()
    history: list[Any] = []
    for text in ("one", "two", "three"):
        history.append({"role": "user", "content": text})
        await ann.say(*history, path=path)
        history.append({"role": "assistant", "content": "Hello"})

    assert ann.asked == tuple(
        assistant(one["content"]) if one["role"] == "assistant" else user(one["content"]) for one in history[:-1]
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
async def test_results_alone_go_to_the_calls_that_are_open(caller: Any, path: str, results: list[Any]) -> None:
    ann = await caller(CALLING, HELLO)
    await ann.say("use it", path=path)

    response = await ann.say(*results, path=path)

    assert response.status == 200
    answers = tuple(ToolResult(id_, (Text("done"),)) for id_ in ("c2", "c1"))
    assert ann.asked == (user("use it"), CALLS, Turn("user", answers))


@pytest.mark.parametrize(
    "named", [{"id": "c2", "name": "f"}, {"name": "f"}, {"id": "c2"}], ids=["by both", "by name and order", "by id"]
)
async def test_gemini_s_responses_alone_go_to_the_calls_that_are_open(caller: Any, named: dict[str, str]) -> None:
    ann = await caller(CALLING, HELLO)
    await ann.say("use it")

    response = await ann.say_to_gemini({"functionResponse": {**named, "response": {"output": "done"}}})

    assert response.status == 200
    answered = named.get("id", "c1")
    (result,) = [block for block in ann.asked[-1].blocks if block.tool_use_id == answered]
    assert result == ToolResult(answered, (Text("done"),))


async def test_a_result_that_is_missing_is_said_and_the_session_goes_on(caller: Any) -> None:
    ann = await caller(CALLING, HELLO)
    await ann.say("use it")

    response = await ann.say({"role": "tool", "tool_call_id": "c1", "content": "done"})

    assert (response.status, "c2" in response.headers["x-gateway-warnings"]) == (200, True)
    await ann.say("and now?")
    assert len(ann.asked) == 5


async def test_a_result_of_no_call_is_remembered_as_text_and_named(caller: Any) -> None:
    ann = await caller(CALLING, HELLO)
    await ann.say("use it")

    response = await ann.say({"role": "tool", "tool_call_id": "c9", "content": "done"})

    assert response.status == 200
    assert "the result of 'c9' answers no call that was sent" in response.headers["x-gateway-warnings"]
    assert (await ann.get("/v1/sessions/s"))["message_count"] == 4


async def test_a_result_is_refused_where_the_session_is_gone_and_changes_nothing(caller: Any) -> None:
    ann = await caller(HELLO)

    response = await ann.say({"role": "tool", "tool_call_id": "c9", "content": "done"})

    assert response.status == 400
    assert "c9" in (await response.json())["error"]["message"]


async def test_a_session_is_shown_as_the_guide_says(caller: Any, clock: Clock) -> None:
    ann = await caller()
    await ann.say("one", session="project-123")
    clock.time += 45 * 60
    await ann.say("two", session="project-123")

    assert await ann.get("/v1/sessions/project-123") == {
        "session_id": "project-123",
        "created_at": "2025-01-15T10:30:00Z",
        "last_accessed": "2025-01-15T11:15:00Z",
        "message_count": 4,
        "expires_at": "2025-01-15T12:15:00Z",
    }


async def test_sessions_are_listed_and_counted(caller: Any, clock: Clock) -> None:
    ann = await caller()
    assert await ann.get("/v1/sessions") == {"sessions": [], "total": 0}
    await ann.say("one", session="old")
    clock.time += 1800
    await ann.say("one", session="a")
    clock.time += 1800
    await ann.say("one", session="b")

    listed = await ann.get("/v1/sessions")
    assert ([one["session_id"] for one in listed["sessions"]], listed["total"]) == (["b", "a"], 2)
    assert listed["sessions"][0] == await ann.get("/v1/sessions/b")
    assert await ann.get("/v1/sessions/stats") == {
        "session_stats": {"active_sessions": 2, "expired_sessions": 1, "total_messages": 4},
        "cleanup_interval_minutes": 5,
        "default_ttl_hours": 1,
    }


async def test_a_deleted_session_is_forgotten(caller: Any) -> None:
    ann = await caller()
    await ann.say("one", session="project-123")

    response = await ann.client.delete("/v1/sessions/project-123")

    assert (response.status, await response.json()) == (200, {"message": "Session project-123 deleted successfully"})
    await ann.get("/v1/sessions/project-123", status=404)
    await ann.say("two", session="project-123")
    assert ann.asked == (user("two"),)


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
async def test_whatever_a_session_is_called_it_has_its_path(caller: Any, id_: str, path: str) -> None:
    ann = await caller()
    await ann.say("one", session=id_)

    assert (await ann.get(f"/v1/sessions/{path}"))["session_id"] == id_
    response = await ann.client.delete(URL(f"/v1/sessions/{path}", encoded=True))
    assert response.status == 200
    await ann.get(f"/v1/sessions/{path}", status=404)


@pytest.mark.promise("sessions.own-only")
async def test_another_key_sees_nothing_of_a_session(caller: Any) -> None:
    ann = await caller()
    bob = await caller(api_key=SecretStr("bob's"))
    bob.client.session.headers["x-api-key"] = "bob's"
    await ann.say("ann's secret")

    foreign = await bob.get("/v1/sessions/s", status=404)
    assert foreign == await bob.get("/v1/sessions/none", status=404)
    assert foreign["error"]["code"] == "session_not_found"
    assert (await bob.client.delete("/v1/sessions/s")).status == 404
    assert await bob.get("/v1/sessions") == {"sessions": [], "total": 0}
    assert (await bob.get("/v1/sessions/stats"))["session_stats"]["active_sessions"] == 0
    await bob.say("bob's own")
    assert bob.asked == (user("bob's own"),)
    await ann.say("still there?")
    assert ann.asked[0] == user("ann's secret")


@pytest.mark.parametrize(("id_", "status"), [("x" * 257, 400), ("a\u0000b", 400), (7, 422), (["s"], 422)])
async def test_what_is_no_session_id_is_refused_with_its_name(caller: Any, id_: Any, status: int) -> None:
    ann = await caller()
    for path, expected in ((CHAT, status), (MESSAGES, 400)):
        response = await ann.say("one", session=id_, path=path)
        assert response.status == expected
        assert "session_id" in await response.text()
    assert ann.dispatcher.jobs == []


@pytest.mark.promise("sessions.failed-is-not-kept")
async def test_an_answer_that_failed_leaves_the_session_as_it_was(caller: Any) -> None:
    broken = [*HELLO[:3], WorkerError(ErrorKind.OVERLOADED, "Overloaded.")]
    ann = await caller(HELLO, broken, broken, HELLO)
    await ann.say("one")

    assert (await ann.say("lost")).status == 503
    assert "Overloaded." in await (await ann.say("lost", stream=True)).text()
    await ann.say("two")

    assert ann.asked == (user("one"), assistant("Hello"), user("two"))


@pytest.mark.promise("sessions.failed-is-not-kept")
async def test_an_answer_that_its_caller_left_is_not_kept_and_holds_up_nobody(caller: Any) -> None:
    ann = await caller([*HELLO[:3], asyncio.Event()], HELLO)
    response = await ann.say("left", stream=True)
    await response.content.readline()
    response.close()

    again = await soon(ann.say("two"))

    assert again.status == 200
    assert ann.asked == (user("two"),)


@pytest.mark.promise("sessions.one-at-a-time")
async def test_a_second_request_waits_for_the_first_and_goes_on_from_it(caller: Any) -> None:
    go_on = asyncio.Event()
    ann = await caller([*HELLO[:2], go_on, *HELLO[2:]], HELLO)
    first = asyncio.create_task(ann.say("one"))
    await soon(ann.dispatcher.asked.wait())
    second = asyncio.create_task(ann.say("two"))
    await ann.say("elsewhere", session="t")
    assert len(ann.dispatcher.jobs) == 2

    go_on.set()
    await soon(asyncio.gather(first, second))

    assert ann.asked == (user("one"), assistant("Hello"), user("two"))


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
async def test_a_session_that_is_busy_for_too_long_is_a_409(
    serve: Serve, database: Database, clock: Clock, path: str
) -> None:
    dispatcher = ScriptedDispatcher([[*HELLO[:3], asyncio.Event()]])
    impatient = Sessions(SessionStore(database), LIMITS, Lines(10, 0.01), clock)
    ann = Caller(await serve(dispatcher, sessions=impatient), dispatcher)
    held = await ann.say("one", stream=True)

    response = await ann.say("two", path=path)

    assert (response.status, response.headers["Retry-After"]) == (409, "5")
    error = (await response.json())["error"]
    assert error["type"] == ("validation_error" if path == CHAT else "invalid_request_error")
    assert "session" in error["message"]
    held.close()


@pytest.mark.promise("sessions.not-brought-back")
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("path", [CHAT, MESSAGES])
async def test_a_session_deleted_under_a_running_answer_ends_it_with_a_409(
    caller: Any, path: str, stream: bool
) -> None:
    go_on = asyncio.Event()
    ann = await caller(HELLO, [*HELLO[:3], go_on, *HELLO[3:]])
    await ann.say("one")
    ann.dispatcher.asked.clear()
    running = asyncio.create_task(ann.say("two", path=path, stream=stream))
    await soon(ann.dispatcher.asked.wait())
    assert (await ann.client.delete("/v1/sessions/s")).status == 200
    go_on.set()

    response = await soon(running)

    text = await response.text()
    assert response.status == (200 if stream else 409)
    assert "was deleted or changed" in text
    assert "[DONE]" not in text
    assert "message_stop" not in text
    await ann.get("/v1/sessions/s", status=404)
