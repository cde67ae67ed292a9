"""Tests of the cost of a job, which is reported once, at the end of the job or soon after it."""

from contextlib import aclosing

from tests.events import each_event
from tests.workers.helpers import far_deadline, make_job, start_worker, with_timeout
from tests.workers.scripted_process import ScriptedProcess, result_frame, text_reply_frames
from workers.core.events import Finished, TextDelta
from workers.core.frame import Frame
from workers.worker.cost_meter import CostMeter
from workers.worker.prepared_job import prepare_chat_job


def with_total_cost(frames: list[Frame], total: float) -> list[Frame]:
    """Return the same frames with the total cost of the process in the result."""
    return [*frames[:-1], result_frame(total_cost_usd=total)]


def test_reports_once_the_difference_of_the_total_cost() -> None:
    reported: list[float] = []
    cost_meter = CostMeter(reported.append, 1.5)

    cost_meter.report(2.0)
    cost_meter.report(9.0)

    assert reported == [0.5]


async def test_reports_the_cost_of_each_job_before_its_last_event() -> None:
    process = ScriptedProcess(
        [with_total_cost(text_reply_frames("one"), 0.25), with_total_cost(text_reply_frames("two"), 1.0)]
    )
    worker = await start_worker(process)
    reported: list[float | str] = []

    for _ in range(2):
        async for event in each_event(worker.run(prepare_chat_job(make_job()), far_deadline(), reported.append)):
            reported += ["end"] if isinstance(event, Finished) else []
        await with_timeout(worker.recover(10))

    assert reported == [0.25, "end", 0.75, "end"]


async def test_reports_the_cost_of_an_abandoned_job_after_its_interruption() -> None:
    head = text_reply_frames("one two")[:3]
    process = ScriptedProcess([head, with_total_cost(text_reply_frames("next"), 3.0)])
    worker = await start_worker(process)
    reported: list[float] = []

    batches = worker.run(prepare_chat_job(make_job()), far_deadline(), reported.append)
    async with aclosing(each_event(batches)) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                break
    assert reported == []
    await with_timeout(worker.recover(10))
    assert reported == [0.0]  # the scripted process reports no cost for an interrupted reply

    async for _ in each_event(worker.run(prepare_chat_job(make_job()), far_deadline(), reported.append)):
        pass
    assert reported == [0.0, 3.0]
