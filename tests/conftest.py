"""What every test shares: a loop in which nothing may block, a stand-in upstream, a gateway on the real CLI."""

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
        yield blockbuster


@pytest.fixture
async def upstream() -> AsyncIterator[StandIn]:
    async with stand_in() as running:
        yield running
