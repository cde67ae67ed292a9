"""A session through its requests: kept before the answer ends, one at a time, bounded, gone when unused."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace

import pytest

from claude_gateway.errors import ApiError
from claude_gateway.prompt.conversation import NOTHING
from claude_gateway.service import ChatService
from claude_gateway.sessions.lines import Lines
from claude_gateway.sessions.register import Sessions
from claude_gateway.sessions.session import Session, SessionLimits
from claude_gateway.stores.db import Database
from claude_gateway.stores.sessions import SessionStore
from tests.claude_gateway.scripted import FINISHED, JOB, STARTED, ScriptedDispatcher, Step
from tests.workers.helpers import PATIENCE, assistant, soon, user
from workers.errors import ErrorKind, WorkerError
from workers.events import (
    BlockEnded,
    BlockStarted,
    Event,
    Finished,
    InputDelta,
    Restarted,
    Signed,
    TextDelta,
    ThinkingDelta,
    Usage,
)
from workers.job import ChatJob, Image, Text, Thought, ToolUse, Turn

HOUR = 3600.0
LIMITS = SessionLimits(ttl=HOUR, per_key=3, bytes_each=10_000, bytes_per_key=15_000)
HELLO = (STARTED, BlockStarted(Text("")), TextDelta("Hel"), TextDelta("lo"), BlockEnded(), FINISHED)


class Clock:
    def __init__(self) -> None:
        self.time = 1_000_000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sessions(database: Database, clock: Clock) -> Sessions:
    return Sessions(SessionStore(database), LIMITS, Lines(10, PATIENCE), clock)


def going_on(session: Session, text: str = "hi", system: str = "", owner: str = "ann") -> ChatJob:
    return replace(JOB, owner=owner, system=system, turns=(*session.remembered.turns, user(text)))


async def answered(session: Session, job: ChatJob, steps: Iterable[Step] = HELLO) -> list[Event]:
    events = ChatService(ScriptedDispatcher([steps]), 60).run(job)
    async with asyncio.timeout(PATIENCE):
        return [event async for event in session.record(job, events)]


async def talk(
    sessions: Sessions, text: str = "hi", steps: Iterable[Step] = HELLO, owner: str = "ann", id_: str = "s"
) -> list[Event]:
    """One request of a caller who sends what is new alone."""
    async with sessions.open(owner, id_) as session:
        return await answered(session, going_on(session, text, owner=owner), steps)


async def remembered(sessions: Sessions, owner: str = "ann", id_: str = "s") -> tuple[Turn, ...]:
    async with sessions.open(owner, id_) as session:
        return session.remembered.turns


async def test_a_request_that_names_none_remembers_nothing(sessions: Sessions) -> None:
    for no_id in (None, ""):
        async with sessions.open("ann", no_id) as session:
            assert session.remembered == NOTHING
            assert await answered(session, JOB) == list(HELLO)
    assert await sessions.infos("ann") == []


async def test_what_was_asked_and_answered_is_remembered(sessions: Sessions) -> None:
    assert await talk(sessions, "one") == list(HELLO)
    await talk(sessions, "two")

    assert await remembered(sessions) == (user("one"), assistant("Hello"), user("two"), assistant("Hello"))


async def test_it_is_kept_before_the_end_of_the_answer_is_passed_on(sessions: Sessions, database: Database) -> None:
    store = SessionStore(database)
    async with sessions.open("ann", "s") as session:
        job = going_on(session)
        async for event in session.record(job, ChatService(ScriptedDispatcher([HELLO]), 60).run(job)):
            kept = await store.read("ann", "s", 0)
            assert (kept is not None) == isinstance(event, Finished)


async def test_every_block_is_remembered(sessions: Sessions) -> None:
    shown = Turn("user", (Text("look"), Image({"type": "base64", "media_type": "image/png", "data": "aGk="})))
    steps = (
        *(STARTED, BlockStarted(Thought("", "")), ThinkingDelta("hm"), Signed("proof"), BlockEnded()),
        *(BlockStarted(Text("")), TextDelta("wait"), BlockEnded()),
        *(BlockStarted(ToolUse("c1", "a.b", {})), InputDelta('{"x":'), InputDelta("1}"), BlockEnded()),
        Finished("tool_use", Usage()),
    )
    async with sessions.open("ann", "s") as session:
        await answered(session, replace(JOB, turns=(shown,)), steps)

    said = Turn("assistant", (Thought("hm", "proof"), Text("wait"), ToolUse("c1", "a.b", {"x": 1})))
    assert await remembered(sessions) == (shown, said)


async def test_the_system_prompt_is_remembered_with_it(sessions: Sessions) -> None:
    async with sessions.open("ann", "s") as session:
        await answered(session, going_on(session, system="be brief"))
    async with sessions.open("ann", "s") as session:
        assert session.remembered.system == "be brief"
        await answered(session, going_on(session, system="be long"))
    async with sessions.open("ann", "s") as session:
        assert session.remembered.system == "be long"


@pytest.mark.parametrize(
    "steps",
    [
        [WorkerError(ErrorKind.UPSTREAM, "broke")],
        [*HELLO[:3], WorkerError(ErrorKind.OVERLOADED, "broke")],
        HELLO[:5],
        [*HELLO[:5], Finished("refusal", Usage())],
    ],
    ids=["at-once", "in-the-middle", "without-an-end", "refused"],
)
async def test_an_answer_that_failed_leaves_the_session_as_it_was(sessions: Sessions, steps: list[Step]) -> None:
    await talk(sessions, "one")

    with contextlib.suppress(WorkerError):
        await talk(sessions, "two", steps)

    assert await remembered(sessions) == (user("one"), assistant("Hello"))


async def test_an_answer_that_is_left_leaves_the_session_as_it_was_and_gives_the_worker_back(
    sessions: Sessions,
) -> None:
    dispatcher = ScriptedDispatcher([HELLO])
    async with sessions.open("ann", "s") as session:
        job = going_on(session)
        events = session.record(job, ChatService(dispatcher, 60).run(job))
        await anext(events)
        await events.aclose()

    assert dispatcher.released.is_set()
    assert await remembered(sessions) == ()


async def test_an_answer_that_began_again_is_remembered_as_it_ended(sessions: Sessions) -> None:
    await talk(sessions, "one", [*HELLO[:3], Restarted(), *HELLO[1:]])

    assert await remembered(sessions) == (user("one"), assistant("Hello"))


@pytest.mark.parametrize(
    "said",
    [
        (),
        (BlockStarted(Text("")), TextDelta(" \n"), BlockEnded()),
        (BlockStarted(Thought("", "")), ThinkingDelta("h"), BlockEnded()),
        (BlockStarted(Thought("", "")), ThinkingDelta("h"), Signed("s"), BlockEnded()),
    ],
    ids=["nothing", "blank", "a-thought-cut-off", "a-thought-alone"],
)
async def test_an_answer_without_a_word_is_no_turn(sessions: Sessions, said: tuple[Event, ...]) -> None:
    await talk(sessions, "one", [STARTED, *said, Finished("max_tokens", Usage())])

    assert await remembered(sessions) == (user("one"),)


async def test_an_answer_cut_by_its_limit_is_remembered_as_far_as_it_came(sessions: Sessions) -> None:
    await talk(sessions, "one", [*HELLO[:5], Finished("max_tokens", Usage())])

    assert await remembered(sessions) == (user("one"), assistant("Hello"))


async def test_only_what_is_new_is_written(sessions: Sessions, database: Database) -> None:
    await talk(sessions, "one")
    before = await database.run("SELECT number, rowid FROM session_turns ORDER BY number")
    await talk(sessions, "two")

    after = await database.run("SELECT number, rowid FROM session_turns ORDER BY number")
    assert (after[:2], len(after)) == (before, 4)


@pytest.mark.promise("sessions.one-at-a-time")
async def test_requests_of_one_session_run_one_after_another(sessions: Sessions) -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[Event]:
        yield STARTED
        asked.set()
        await go_on.wait()
        for event in HELLO[1:]:
            yield event

    async def first() -> None:
        async with sessions.open("ann", "s") as session:
            async for _ in session.record(going_on(session, "one"), slow()):
                pass

    running = asyncio.create_task(first())
    await soon(asked.wait())
    second = asyncio.create_task(talk(sessions, "two"))
    await talk(sessions, "elsewhere", id_="other")
    await talk(sessions, "elsewhere", owner="bob")
    assert not second.done()
    go_on.set()
    await soon(asyncio.gather(running, second))

    assert await remembered(sessions) == (user("one"), assistant("Hello"), user("two"), assistant("Hello"))


async def test_who_waits_too_long_for_a_session_gets_a_409(database: Database, clock: Clock) -> None:
    sessions = Sessions(SessionStore(database), LIMITS, Lines(10, 0.01), clock)
    async with sessions.open("ann", "s"):
        with pytest.raises(ApiError) as raised:
            await talk(sessions)
    assert (raised.value.status, raised.value.code) == (409, "session_busy")
    assert raised.value.retry_after


async def test_a_session_deleted_under_a_request_is_not_brought_back(sessions: Sessions) -> None:
    await talk(sessions, "one")

    async with sessions.open("ann", "s") as session:
        await sessions.forget("ann", "s")
        with pytest.raises(ApiError) as raised:
            await answered(session, going_on(session, "two"))

    assert (raised.value.status, raised.value.code) == (409, "session_changed")
    assert await remembered(sessions) == ()
    assert await sessions.infos("ann") == []


async def test_each_request_extends_a_session_whatever_came_of_it(sessions: Sessions, clock: Clock) -> None:
    await talk(sessions, "one")
    for steps in (HELLO, [WorkerError(ErrorKind.UPSTREAM, "broke")]):
        clock.time += HOUR - 1
        with contextlib.suppress(WorkerError):
            await talk(sessions, "again", steps)
        info = await sessions.info("ann", "s")
        assert (info.used_at, info.expires_at) == (clock.time, clock.time + HOUR)
    clock.time += HOUR
    assert await remembered(sessions) == ()
    with pytest.raises(ApiError):
        await sessions.info("ann", "s")


async def test_looking_at_a_session_does_not_extend_it(sessions: Sessions, clock: Clock) -> None:
    await talk(sessions)
    clock.time += HOUR / 2
    before = await sessions.info("ann", "s")
    await sessions.infos("ann")

    assert (await sessions.info("ann", "s")).expires_at == before.expires_at == clock.time + HOUR / 2


async def test_an_answer_that_outlives_the_time_of_its_session_is_remembered(sessions: Sessions, clock: Clock) -> None:
    await talk(sessions, "one")
    async with sessions.open("ann", "s") as session:
        clock.time += HOUR + 1
        assert await sessions.sweep() == 0
        await answered(session, going_on(session, "two"))

    assert len(await remembered(sessions)) == 4
    clock.time += HOUR + 1
    assert await sessions.sweep() == 1


async def test_expired_sessions_are_swept_while_the_gateway_runs(sessions: Sessions, clock: Clock) -> None:
    await talk(sessions)
    clock.time += HOUR
    assert (await sessions.totals("ann")).expired == 1
    async with sessions.swept(), asyncio.timeout(PATIENCE):
        while (await sessions.totals("ann")).expired:
            pass


@pytest.mark.promise("sessions.bounded")
async def test_a_session_too_many_is_refused_before_anything_is_asked(sessions: Sessions, clock: Clock) -> None:
    for number in range(3):
        await talk(sessions, id_=str(number))
        clock.time += 10
    dispatcher = ScriptedDispatcher([HELLO])

    async with sessions.open("ann", "3") as session:
        job = going_on(session)
        with pytest.raises(ApiError) as raised:
            await anext(session.record(job, ChatService(dispatcher, 60).run(job)))

    assert (raised.value.status, raised.value.code, raised.value.retry_after) == (429, "too_many_sessions", HOUR - 30)
    assert dispatcher.jobs == []
    await talk(sessions, id_="1")
    await talk(sessions, owner="bob")
    await sessions.forget("ann", "0")
    await talk(sessions, id_="3")


@pytest.mark.promise("sessions.bounded")
async def test_a_session_that_would_grow_too_large_is_refused_before_anything_is_asked(sessions: Sessions) -> None:
    await talk(sessions, "x" * 9_000)

    with pytest.raises(ApiError) as raised:
        await talk(sessions, "y" * 1_000)

    assert (raised.value.status, raised.value.code) == (413, "session_too_large")
    await talk(sessions, "short")


@pytest.mark.promise("sessions.bounded")
async def test_what_a_key_may_have_remembered_is_bounded_over_all_its_sessions(sessions: Sessions) -> None:
    await talk(sessions, "x" * 9_000, id_="a")

    with pytest.raises(ApiError) as raised:
        await talk(sessions, "x" * 9_000, id_="b")

    assert (raised.value.status, raised.value.code) == (429, "too_many_sessions")
    await talk(sessions, "x" * 9_000, owner="bob")


async def test_a_history_that_is_replaced_makes_room(sessions: Sessions) -> None:
    await talk(sessions, "short")
    await talk(sessions, "x" * 9_000)

    async with sessions.open("ann", "s") as session:
        past = session.remembered.turns[:2]
        await answered(session, replace(JOB, turns=(*past, user("y" * 9_000))))

    assert [len(block.text) for turn in await remembered(sessions) for block in turn.blocks] == [5, 5, 9_000, 5]


@pytest.mark.parametrize("id_", ["x" * 257, "a\nb", "a\0b", "\x7f"])
async def test_what_is_no_id_is_refused(sessions: Sessions, id_: str) -> None:
    with pytest.raises(ApiError) as raised:
        await talk(sessions, id_=id_)

    assert (raised.value.status, raised.value.param) == (400, "session_id")


@pytest.mark.parametrize("id_", ["x" * 256, "a/b?c=d#e", "100%25", "محادثة", "👩‍👩‍👧", " "])
async def test_any_other_string_is_one(sessions: Sessions, id_: str) -> None:
    await talk(sessions, id_=id_)

    assert (await sessions.info("ann", id_)).id == id_
