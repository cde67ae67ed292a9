"""What a job costs: told once, at its end or soon after it."""

from contextlib import aclosing

from tests.workers.helpers import a_job, boot, later, soon
from workers.bill import Bill
from workers.events import Finished, TextDelta
from workers.fake import ScriptedProcess, result, says
from workers.frames import Frame


def costs(answer: list[Frame], total: float) -> list[Frame]:
    """The same frames, with what the process says it has cost by then."""
    return [*answer[:-1], result(total_cost_usd=total)]


def test_a_bill_is_told_once_and_is_the_difference() -> None:
    told: list[float] = []
    bill = Bill(told.append, 1.5)

    bill.settle(2.0)
    bill.settle(9.0)

    assert told == [0.5]


async def test_each_job_is_told_what_it_cost_itself_before_its_end() -> None:
    process = ScriptedProcess([costs(says("one"), 0.25), costs(says("two"), 1.0)])
    worker = await boot(process)
    told: list[float | str] = []

    for _ in range(2):
        async for event in worker.run(a_job(), later(), told.append):
            told += ["end"] if isinstance(event, Finished) else []
        await soon(worker.recover(10))

    assert told == [0.25, "end", 0.75, "end"]


async def test_what_a_job_cost_that_its_caller_left_is_told_once_it_has_stopped() -> None:
    head = says("one two")[:3]
    process = ScriptedProcess([head, costs(says("next"), 3.0)])
    worker = await boot(process)
    told: list[float] = []

    async with aclosing(worker.run(a_job(), later(), told.append)) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                break
    assert told == []
    await soon(worker.recover(10))
    assert told == [0.0]  # this process says nothing of the cost of what was stopped

    async for _ in worker.run(a_job(), later(), told.append):
        pass
    assert told == [0.0, 3.0]
