import os

from workers import rss


async def test_this_process_holds_some_memory() -> None:
    assert 1 < await rss.mebibytes(os.getpid()) < 100_000


async def test_a_process_that_is_gone_holds_none() -> None:
    assert await rss.mebibytes(0) == 0
