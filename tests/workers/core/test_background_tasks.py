import asyncio

from workers.core.background_tasks import BackgroundTasks


async def test_keeps_a_task_until_it_has_ended() -> None:
    tasks = BackgroundTasks()
    can_end = asyncio.Event()
    has_ended = asyncio.Event()

    async def work() -> None:
        await can_end.wait()
        has_ended.set()

    tasks.start(work())
    can_end.set()
    await tasks.wait()

    assert has_ended.is_set()


async def test_cancels_every_task_and_waits_until_it_has_ended() -> None:
    tasks = BackgroundTasks()
    task = tasks.start(asyncio.sleep(3600))

    await tasks.cancel_and_wait()

    assert task.cancelled()
