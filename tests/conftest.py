"""Fixtures of all tests: detection of blocking calls, log levels, and the fake Anthropic API."""

import logging
from collections.abc import AsyncIterator, Iterator

import hypothesis
import pytest
from blockbuster import BlockBuster, blockbuster_ctx

from claude_gateway.devtools.fake_anthropic.server import FakeAnthropic, run_fake_anthropic
from tests.parallel import GroupScheduling, make_scheduler, sort_slow_first

# A slow machine makes no property test fail.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
# Fewer examples for `make test-unit`.
hypothesis.settings.register_profile("quick", hypothesis.settings.get_profile("any machine"), max_examples=15)
hypothesis.settings.load_profile("any machine")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> GroupScheduling:
    return make_scheduler(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # Only in a test process of xdist.
    if hasattr(config, "workerinput"):
        sort_slow_first(items)


@pytest.fixture(autouse=True)
def _fail_on_blocking_calls() -> Iterator[BlockBuster]:
    """Fail the test if `claude_gateway` or `workers` makes a blocking call inside a running event loop."""
    with blockbuster_ctx(["claude_gateway", "workers"]) as blockbuster:
        # This write goes to the page cache and does not wait for a disk.
        blockbuster.functions["os.write"].can_block_in("usage/write_ahead_log.py", "append")
        yield blockbuster


@pytest.fixture(autouse=True)
def _restore_log_levels() -> Iterator[None]:
    """Restore the log levels of the process, which a reload of settings changes."""
    loggers = [logging.getLogger(name) for name in ("claude_gateway", "workers")]
    levels = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.fixture
async def upstream() -> AsyncIterator[FakeAnthropic]:
    async with run_fake_anthropic() as running:
        yield running
