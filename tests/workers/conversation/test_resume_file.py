import itertools

import orjson
import pytest

from tests.workers.helpers import (
    MODEL,
    TIMEOUT_SECONDS,
    assistant_turn,
    collect_events,
    frame_kinds,
    make_job,
    user_turn,
)
from tests.workers.scripted_process import ScriptedProcess, text_reply_frames
from workers.conversation.resume_file import RESUME_THRESHOLD_USER_TURNS, ResumeFile, build_resume_file
from workers.core.errors import WorkerError
from workers.core.job import Turn
from workers.worker.chat_worker import ChatWorker


def make_exchanges(count: int) -> list[Turn]:
    return [turn for n in range(count) for turn in (user_turn(f"question {n}"), assistant_turn(f"answer {n}"))]


def test_links_each_row_of_the_file_to_the_previous_one() -> None:
    ids = map(str, itertools.count())
    resume_file = build_resume_file(make_exchanges(2), MODEL, lambda: next(ids))
    rows = [orjson.loads(line) for line in resume_file.content.splitlines()]
    assert [row["type"] for row in rows] == ["user", "assistant"] * 2
    assert [row["parentUuid"] for row in rows] == [None, *(row["uuid"] for row in rows[:-1])]
    assert resume_file.turn_uuids == tuple(row["uuid"] for row in rows)
    assert rows[1]["message"]["content"] == [{"type": "text", "text": "answer 0"}]


async def test_resumes_a_long_history_in_a_new_process_and_replays_a_short_one() -> None:
    started: list[tuple[ScriptedProcess, ResumeFile | None]] = []

    async def spawn(resume_file: ResumeFile | None) -> ScriptedProcess:
        started.append((ScriptedProcess([text_reply_frames("one")] * 2), resume_file))
        return started[-1][0]

    worker = ChatWorker(spawn, MODEL)
    await worker.start(TIMEOUT_SECONDS)
    for count in (RESUME_THRESHOLD_USER_TURNS, RESUME_THRESHOLD_USER_TURNS + 1):
        history = make_exchanges(count)
        await collect_events(
            worker, make_job(user_turn(f"{count} to come"), *history[1:], user_turn("and?"), model="other")
        )
        await worker.recover(TIMEOUT_SECONDS)
    (first, no_resume_file), (second, resume_file) = started
    assert (no_resume_file, first.is_killed, second.is_killed) == (None, True, False)
    assert resume_file is not None
    assert resume_file.model == "other"
    assert len(resume_file.turn_uuids) == 2 * (RESUME_THRESHOLD_USER_TURNS + 1)
    assert frame_kinds(second.written_frames)[-1:] == ["prompt"]
    assert not {"replay_user", "replay_assistant", "set_model"} & set(frame_kinds(second.written_frames))


async def test_waits_for_the_exit_of_the_process_that_replaced_the_first() -> None:
    processes = [ScriptedProcess([text_reply_frames("one")]) for _ in range(2)]
    available = iter(processes)

    async def spawn(_: ResumeFile | None) -> ScriptedProcess:
        return next(available)

    worker = ChatWorker(spawn, MODEL)
    await worker.start(TIMEOUT_SECONDS)
    await collect_events(worker, make_job(*make_exchanges(RESUME_THRESHOLD_USER_TURNS + 1), user_turn("and?")))
    assert processes[0].is_killed
    processes[1].exit_with(7)
    assert await worker.wait_exited() == 7


async def test_raises_a_retryable_error_if_the_new_process_does_not_start() -> None:
    available = iter([ScriptedProcess([text_reply_frames("one")])])

    async def spawn(_: ResumeFile | None) -> ScriptedProcess:
        try:
            return next(available)
        except StopIteration:
            raise OSError("no process") from None

    worker = ChatWorker(spawn, MODEL)
    await worker.start(TIMEOUT_SECONDS)
    with pytest.raises(WorkerError) as caught:
        await collect_events(worker, make_job(*make_exchanges(RESUME_THRESHOLD_USER_TURNS + 1), user_turn("and?")))

    assert caught.value.is_retryable
    with pytest.raises(WorkerError):
        await worker.recover(TIMEOUT_SECONDS)
