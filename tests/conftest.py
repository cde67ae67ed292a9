"""What every test shares: a loop in which nothing may block, a stand-in upstream, a gateway on the real CLI."""

import logging
from collections.abc import AsyncIterator, Iterator

import hypothesis
import pytest
from blockbuster import BlockBuster, blockbuster_ctx

from claude_gateway.demo.upstream import StandIn, stand_in

# No test fails because a machine is slow.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")


@pytest.fixture(autouse=True)
def _nothing_blocks_the_loop() -> Iterator[BlockBuster]:
    """Any blocking call of our packages inside a running event loop fails the test."""
    with blockbuster_ctx(["claude_gateway", "workers"]) as blockbuster:
        # Into the system's memory: it waits for no disk.
        blockbuster.functions["os.write"].can_block_in("stores/ledger_journal.py", "note")
        yield blockbuster


@pytest.fixture(autouse=True)
def _the_log_stays_as_it_was() -> Iterator[None]:
    """Settings that are read again change how much is logged, and that is the same for the whole process."""
    loggers = [logging.getLogger(name) for name in ("claude_gateway", "workers")]
    levels = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.fixture
async def upstream() -> AsyncIterator[StandIn]:
    async with stand_in() as running:
        yield running
