import itertools

import orjson
import pytest

from tests.workers.helpers import MODEL, PATIENCE, a_job, answer_of, assistant, kinds, user
from workers.errors import WorkerError
from workers.fake import ScriptedProcess, says
from workers.job import Turn
from workers.prepared import WORTH_A_PROCESS, Prepared, prepare
from workers.worker import Worker


def exchanges(count: int) -> list[Turn]:
    return [turn for n in range(count) for turn in (user(f"question {n}"), assistant(f"answer {n}"))]


def test_each_row_of_the_file_hangs_on_the_one_before() -> None:
    ids = map(str, itertools.count())
    prepared = prepare(exchanges(2), MODEL, lambda: next(ids))
    rows = [orjson.loads(line) for line in prepared.lines.splitlines()]
    assert [row["type"] for row in rows] == ["user", "assistant"] * 2
    assert [row["parentUuid"] for row in rows] == [None, *(row["uuid"] for row in rows[:-1])]
    assert prepared.uuids == (rows[0]["uuid"], rows[2]["uuid"])
    assert prepared.last_reply == rows[-1]["uuid"]
    assert rows[1]["message"]["content"] == [{"type": "text", "text": "answer 0"}]


async def test_a_long_history_goes_into_a_process_of_its_own_and_a_short_one_does_not() -> None:
    started: list[tuple[ScriptedProcess, Prepared | None]] = []

    async def spawn(prepared: Prepared | None) -> ScriptedProcess:
        started.append((ScriptedProcess([says("one")] * 2), prepared))
        return started[-1][0]

    worker = Worker(spawn, MODEL)
    await worker.boot(PATIENCE)
    for count in (WORTH_A_PROCESS, WORTH_A_PROCESS + 1):
        history = exchanges(count)
        await answer_of(worker, a_job(user(f"{count} to come"), *history[1:], user("and?"), model="other"))
        await worker.recover(PATIENCE)
    (first, nothing), (second, prepared) = started
    assert (nothing, first.killed, second.killed) == (None, True, False)
    assert prepared is not None
    assert prepared.model == "other"
    assert len(prepared.uuids) == WORTH_A_PROCESS + 1
    assert kinds(second.written)[-1:] == ["ask"]
    assert not {"load", "append", "set_model"} & set(kinds(second.written))


async def test_a_worker_that_gives_way_to_another_process_has_not_ended() -> None:
    processes = [ScriptedProcess([says("one")]) for _ in range(2)]
    waiting = iter(processes)

    async def spawn(_: Prepared | None) -> ScriptedProcess:
        return next(waiting)

    worker = Worker(spawn, MODEL)
    await worker.boot(PATIENCE)
    await answer_of(worker, a_job(*exchanges(WORTH_A_PROCESS + 1), user("and?")))
    assert processes[0].killed
    processes[1].die(7)
    assert await worker.ended() == 7


async def test_a_job_whose_own_process_does_not_start_may_be_given_to_another_worker() -> None:
    waiting = iter([ScriptedProcess([says("one")])])

    async def spawn(_: Prepared | None) -> ScriptedProcess:
        try:
            return next(waiting)
        except StopIteration:
            raise OSError("no process") from None

    worker = Worker(spawn, MODEL)
    await worker.boot(PATIENCE)
    with pytest.raises(WorkerError) as caught:
        await answer_of(worker, a_job(*exchanges(WORTH_A_PROCESS + 1), user("and?")))

    assert caught.value.another_attempt_could_help
    with pytest.raises(WorkerError):
        await worker.recover(PATIENCE)
