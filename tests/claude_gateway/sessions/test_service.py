"""Sessions over several requests: storage of turns, serialization of requests, limits and expiry."""

import asyncio
import contextlib
from collections.abc import Iterable
from dataclasses import replace

import pytest

from claude_gateway.core.errors import ApiError
from claude_gateway.dialects.common.content.conversation import EMPTY_HISTORY
from claude_gateway.jobs.service import ChatService
from claude_gateway.sessions.service import SessionService
from claude_gateway.sessions.session import Session, SessionLimits
from claude_gateway.sessions.session_lock import SessionLocks
from claude_gateway.sessions.session_store import SessionStore
from claude_gateway.storage.database import Database
from tests.claude_gateway.manual_clock import ManualClock
from tests.claude_gateway.scripted import FINISHED, JOB, STARTED, ScriptedWorkerSource, ScriptStep
from tests.events import each_event
from tests.workers.helpers import TIMEOUT_SECONDS, assistant_turn, user_turn, with_timeout
from workers.core.errors import ErrorKind, WorkerError
from workers.core.events import (
    BlockEnded,
    BlockStarted,
    Event,
    EventStream,
    Finished,
    SignatureDelta,
    StreamReset,
    TextDelta,
    ThinkingDelta,
    TokenUsage,
    ToolInputDelta,
)
from workers.core.job import ChatJob, Image, Text, ThinkingBlock, ToolUse, Turn

HOUR = 3600.0
LIMITS = SessionLimits(ttl_seconds=HOUR, max_sessions_per_key=3, max_bytes_per_session=10_000, max_bytes_per_key=15_000)
HELLO = (STARTED, BlockStarted(Text("")), TextDelta("Hel"), TextDelta("lo"), BlockEnded(), FINISHED)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_000_000.0)


@pytest.fixture
def sessions(database: Database, clock: ManualClock) -> SessionService:
    return SessionService(SessionStore(database), LIMITS, SessionLocks(10, TIMEOUT_SECONDS), clock)


def create_request(session: Session, text: str = "hi", system: str = "", key_id: str = "ann") -> ChatJob:
    return replace(JOB, key_id=key_id, system=system, turns=(*session.history.turns, user_turn(text)))


async def run_job(session: Session, job: ChatJob, steps: Iterable[ScriptStep] = HELLO) -> list[Event]:
    events = ChatService(ScriptedWorkerSource([steps]), 60).run(job)
    async with asyncio.timeout(TIMEOUT_SECONDS):
        return [event async for event in each_event(session.persist_stream(job, events))]


async def send_message(
    sessions: SessionService, text: str = "hi", steps: Iterable[ScriptStep] = HELLO, key_id: str = "ann", id_: str = "s"
) -> list[Event]:
    """Send one request of a client that sends only new messages."""
    async with sessions.open_session(key_id, id_) as session:
        return await run_job(session, create_request(session, text, key_id=key_id), steps)


async def read_turns(sessions: SessionService, key_id: str = "ann", id_: str = "s") -> tuple[Turn, ...]:
    async with sessions.open_session(key_id, id_) as session:
        return session.history.turns


async def test_request_without_session_stores_nothing(sessions: SessionService) -> None:
    for no_id in (None, ""):
        async with sessions.open_session("ann", no_id) as session:
            assert session.history == EMPTY_HISTORY
            assert await run_job(session, JOB) == list(HELLO)
    assert await sessions.list_sessions("ann") == []


async def test_stores_prompt_and_reply(sessions: SessionService) -> None:
    assert await send_message(sessions, "one") == list(HELLO)
    await send_message(sessions, "two")

    assert await read_turns(sessions) == (
        user_turn("one"),
        assistant_turn("Hello"),
        user_turn("two"),
        assistant_turn("Hello"),
    )


async def test_stores_the_reply_before_the_finished_event(sessions: SessionService, database: Database) -> None:
    store = SessionStore(database)
    async with sessions.open_session("ann", "s") as session:
        job = create_request(session)
        batches = ChatService(ScriptedWorkerSource([HELLO]), 60).run(job)
        async for event in each_event(session.persist_stream(job, batches)):
            snapshot = await store.read_snapshot("ann", "s", 0)
            assert (snapshot is not None) == isinstance(event, Finished)


async def test_stores_every_block(sessions: SessionService) -> None:
    image_turn = Turn("user", (Text("look"), Image({"type": "base64", "media_type": "image/png", "data": "aGk="})))
    steps = (
        *(STARTED, BlockStarted(ThinkingBlock("", "")), ThinkingDelta("hm"), SignatureDelta("proof"), BlockEnded()),
        *(BlockStarted(Text("")), TextDelta("wait"), BlockEnded()),
        *(BlockStarted(ToolUse("c1", "a.b", {})), ToolInputDelta('{"x":'), ToolInputDelta("1}"), BlockEnded()),
        Finished("tool_use", TokenUsage()),
    )
    async with sessions.open_session("ann", "s") as session:
        await run_job(session, replace(JOB, turns=(image_turn,)), steps)

    reply = Turn("assistant", (ThinkingBlock("hm", "proof"), Text("wait"), ToolUse("c1", "a.b", {"x": 1})))
    assert await read_turns(sessions) == (image_turn, reply)


async def test_stores_the_system_prompt(sessions: SessionService) -> None:
    async with sessions.open_session("ann", "s") as session:
        await run_job(session, create_request(session, system="be brief"))
    async with sessions.open_session("ann", "s") as session:
        assert session.history.system == "be brief"
        await run_job(session, create_request(session, system="be long"))
    async with sessions.open_session("ann", "s") as session:
        assert session.history.system == "be long"


@pytest.mark.parametrize(
    "steps",
    [
        [WorkerError(ErrorKind.UPSTREAM_ERROR, "broke")],
        [*HELLO[:3], WorkerError(ErrorKind.OVERLOADED, "broke")],
        HELLO[:5],
        [*HELLO[:5], Finished("refusal", TokenUsage())],
    ],
    ids=["immediate-error", "error-in-the-middle", "no-end", "refusal"],
)
async def test_failed_reply_leaves_the_session_unchanged(sessions: SessionService, steps: list[ScriptStep]) -> None:
    await send_message(sessions, "one")

    with contextlib.suppress(WorkerError):
        await send_message(sessions, "two", steps)

    assert await read_turns(sessions) == (user_turn("one"), assistant_turn("Hello"))


async def test_abandoned_reply_leaves_the_session_unchanged_and_releases_the_worker(sessions: SessionService) -> None:
    worker_source = ScriptedWorkerSource([HELLO])
    async with sessions.open_session("ann", "s") as session:
        job = create_request(session)
        events = each_event(session.persist_stream(job, ChatService(worker_source, 60).run(job)))
        await anext(events)
        await events.aclose()

    assert worker_source.worker_released.is_set()
    assert await read_turns(sessions) == ()


async def test_stores_the_final_reply_after_a_stream_reset(sessions: SessionService) -> None:
    await send_message(sessions, "one", [*HELLO[:3], StreamReset(), *HELLO[1:]])

    assert await read_turns(sessions) == (user_turn("one"), assistant_turn("Hello"))


@pytest.mark.parametrize(
    "reply",
    [
        (),
        (BlockStarted(Text("")), TextDelta(" \n"), BlockEnded()),
        (BlockStarted(ThinkingBlock("", "")), ThinkingDelta("h"), BlockEnded()),
        (BlockStarted(ThinkingBlock("", "")), ThinkingDelta("h"), SignatureDelta("s"), BlockEnded()),
    ],
    ids=["nothing", "blank", "truncated-thinking", "only-thinking"],
)
async def test_stores_no_turn_for_an_empty_reply(sessions: SessionService, reply: tuple[Event, ...]) -> None:
    await send_message(sessions, "one", [STARTED, *reply, Finished("max_tokens", TokenUsage())])

    assert await read_turns(sessions) == (user_turn("one"),)


async def test_stores_reply_that_max_tokens_truncated(sessions: SessionService) -> None:
    await send_message(sessions, "one", [*HELLO[:5], Finished("max_tokens", TokenUsage())])

    assert await read_turns(sessions) == (user_turn("one"), assistant_turn("Hello"))


async def test_writes_only_new_turns(sessions: SessionService, database: Database) -> None:
    await send_message(sessions, "one")
    before = await database.execute("SELECT number, rowid FROM session_turns ORDER BY number")
    await send_message(sessions, "two")

    after = await database.execute("SELECT number, rowid FROM session_turns ORDER BY number")
    assert (after[:2], len(after)) == (before, 4)


@pytest.mark.promise("sessions.one-at-a-time")
async def test_requests_of_one_session_run_one_after_another(sessions: SessionService) -> None:
    first_started, continue_first = asyncio.Event(), asyncio.Event()

    async def slow() -> EventStream:
        yield [STARTED]
        first_started.set()
        await continue_first.wait()
        for event in HELLO[1:]:
            yield [event]

    async def run_first() -> None:
        async with sessions.open_session("ann", "s") as session:
            async for _ in each_event(session.persist_stream(create_request(session, "one"), slow())):
                pass

    running = asyncio.create_task(run_first())
    await with_timeout(first_started.wait())
    second = asyncio.create_task(send_message(sessions, "two"))
    await send_message(sessions, "elsewhere", id_="other")
    await send_message(sessions, "elsewhere", key_id="bob")
    assert not second.done()
    continue_first.set()
    await with_timeout(asyncio.gather(running, second))

    assert await read_turns(sessions) == (
        user_turn("one"),
        assistant_turn("Hello"),
        user_turn("two"),
        assistant_turn("Hello"),
    )


async def test_rejects_request_that_waits_too_long_for_its_session_with_409(
    database: Database, clock: ManualClock
) -> None:
    sessions = SessionService(SessionStore(database), LIMITS, SessionLocks(10, 0.01), clock)
    async with sessions.open_session("ann", "s"):
        with pytest.raises(ApiError) as raised:
            await send_message(sessions)
    assert (raised.value.status, raised.value.code) == (409, "session_busy")
    assert raised.value.retry_after


async def test_does_not_restore_a_session_deleted_during_a_request(sessions: SessionService) -> None:
    await send_message(sessions, "one")

    async with sessions.open_session("ann", "s") as session:
        await sessions.delete_session("ann", "s")
        with pytest.raises(ApiError) as raised:
            await run_job(session, create_request(session, "two"))

    assert (raised.value.status, raised.value.code) == (409, "session_conflict")
    assert await read_turns(sessions) == ()
    assert await sessions.list_sessions("ann") == []


async def test_each_request_extends_the_session_even_if_it_fails(sessions: SessionService, clock: ManualClock) -> None:
    await send_message(sessions, "one")
    for steps in (HELLO, [WorkerError(ErrorKind.UPSTREAM_ERROR, "broke")]):
        clock.now += HOUR - 1
        with contextlib.suppress(WorkerError):
            await send_message(sessions, "again", steps)
        info = await sessions.get_session("ann", "s")
        assert (info.used_at, info.expires_at) == (clock.now, clock.now + HOUR)
    clock.now += HOUR
    assert await read_turns(sessions) == ()
    with pytest.raises(ApiError):
        await sessions.get_session("ann", "s")


async def test_reading_a_session_does_not_extend_it(sessions: SessionService, clock: ManualClock) -> None:
    await send_message(sessions)
    clock.now += HOUR / 2
    before = await sessions.get_session("ann", "s")
    await sessions.list_sessions("ann")

    assert (await sessions.get_session("ann", "s")).expires_at == before.expires_at == clock.now + HOUR / 2


async def test_stores_reply_that_ends_after_the_session_expired(sessions: SessionService, clock: ManualClock) -> None:
    await send_message(sessions, "one")
    async with sessions.open_session("ann", "s") as session:
        clock.now += HOUR + 1
        assert await sessions.delete_expired() == 0
        await run_job(session, create_request(session, "two"))

    assert len(await read_turns(sessions)) == 4
    clock.now += HOUR + 1
    assert await sessions.delete_expired() == 1


async def test_deletes_expired_sessions_periodically(sessions: SessionService, clock: ManualClock) -> None:
    await send_message(sessions)
    clock.now += HOUR
    assert (await sessions.get_totals("ann")).expired_count == 1
    async with sessions.run_cleanup(), asyncio.timeout(TIMEOUT_SECONDS):
        while (await sessions.get_totals("ann")).expired_count:
            pass


@pytest.mark.promise("sessions.bounded")
async def test_rejects_session_beyond_the_limit_before_running_a_job(
    sessions: SessionService, clock: ManualClock
) -> None:
    for number in range(3):
        await send_message(sessions, id_=str(number))
        clock.now += 10
    worker_source = ScriptedWorkerSource([HELLO])

    async with sessions.open_session("ann", "3") as session:
        job = create_request(session)
        with pytest.raises(ApiError) as raised:
            await anext(each_event(session.persist_stream(job, ChatService(worker_source, 60).run(job))))

    assert (raised.value.status, raised.value.code, raised.value.retry_after) == (429, "too_many_sessions", HOUR - 30)
    assert worker_source.jobs == []
    await send_message(sessions, id_="1")
    await send_message(sessions, key_id="bob")
    await sessions.delete_session("ann", "0")
    await send_message(sessions, id_="3")


@pytest.mark.promise("sessions.bounded")
async def test_rejects_session_that_would_grow_too_large_before_running_a_job(
    sessions: SessionService,
) -> None:
    await send_message(sessions, "x" * 9_000)

    with pytest.raises(ApiError) as raised:
        await send_message(sessions, "y" * 1_000)

    assert (raised.value.status, raised.value.code) == (413, "session_too_large")
    await send_message(sessions, "short")


@pytest.mark.promise("sessions.bounded")
async def test_limits_stored_bytes_of_all_sessions_of_a_key(sessions: SessionService) -> None:
    await send_message(sessions, "x" * 9_000, id_="a")

    with pytest.raises(ApiError) as raised:
        await send_message(sessions, "x" * 9_000, id_="b")

    assert (raised.value.status, raised.value.code) == (429, "too_many_sessions")
    await send_message(sessions, "x" * 9_000, key_id="bob")


async def test_replaced_history_frees_space(sessions: SessionService) -> None:
    await send_message(sessions, "short")
    await send_message(sessions, "x" * 9_000)

    async with sessions.open_session("ann", "s") as session:
        first_turns = session.history.turns[:2]
        await run_job(session, replace(JOB, turns=(*first_turns, user_turn("y" * 9_000))))

    assert [len(block.text) for turn in await read_turns(sessions) for block in turn.blocks] == [5, 5, 9_000, 5]


@pytest.mark.parametrize("id_", ["x" * 257, "a\nb", "a\0b", "\x7f"])
async def test_rejects_invalid_session_id(sessions: SessionService, id_: str) -> None:
    with pytest.raises(ApiError) as raised:
        await send_message(sessions, id_=id_)

    assert (raised.value.status, raised.value.param) == (400, "session_id")


@pytest.mark.parametrize("id_", ["x" * 256, "a/b?c=d#e", "100%25", "محادثة", "👩‍👩‍👧", " "])
async def test_accepts_any_other_string_as_session_id(sessions: SessionService, id_: str) -> None:
    await send_message(sessions, id_=id_)

    assert (await sessions.get_session("ann", id_)).id == id_
