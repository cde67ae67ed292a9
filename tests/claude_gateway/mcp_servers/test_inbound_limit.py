"""The inbound limit of MCP servers, beyond which the gateway reads nothing."""

import pytest

from claude_gateway.mcp_servers.inbound_limit import InboundLimiter, InboundLimitExceeded, InboundVolume
from claude_gateway.mcp_servers.limits import McpLimits
from tests.claude_gateway.manual_clock import ManualClock

LIMITS = McpLimits(max_inbound_lines=10, inbound_window_seconds=5, max_message_bytes=100)


@pytest.mark.parametrize("data", [b"\n" * 11, b"\r\n" * 6, b"x" * 801])
def test_too_many_lines_or_bytes_exceed_the_limit_once_and_permanently(data: bytes) -> None:
    reasons: list[str] = []
    clock = ManualClock()
    limiter = InboundLimiter(LIMITS, clock, reasons.append)

    for _ in range(2):
        with pytest.raises(InboundLimitExceeded):
            limiter.count_data(data)
        clock.now += 5
    with pytest.raises(InboundLimitExceeded):
        limiter.count_data(b"")

    (reason,) = reasons
    assert reason.startswith("the server sent more than 10 lines or 800 bytes within 5 seconds")


def test_slow_input_does_not_exceed_the_limit() -> None:
    clock = ManualClock()
    limiter = InboundLimiter(LIMITS, clock, lambda _: None)

    for _ in range(100):
        limiter.count_data(b"x" * 790 + b"\n" * 10)
        clock.now += 5


def test_values_of_many_messages_add_up() -> None:
    clock = ManualClock()
    limiter = InboundLimiter(McpLimits(max_inbound_values=10, inbound_window_seconds=5), clock, lambda _: None)

    for _ in range(5):
        limiter.count_values(10)
        clock.now += 5
        limiter.count_data(b"")
    limiter.count_values(10)
    with pytest.raises(InboundLimitExceeded, match="more than 10 values within 5 seconds"):
        limiter.count_values(1)
    with pytest.raises(InboundLimitExceeded):
        limiter.count_data(b"")


@pytest.mark.parametrize("data", [b"\n" * 4, b"x" * 300])
def test_loud_servers_of_a_key_exceed_the_limit_together_and_a_quiet_one_does_not(data: bytes) -> None:
    clock, key_volume = ManualClock(), InboundVolume(0.0)
    limits = McpLimits(max_inbound_lines=10, inbound_window_seconds=5, max_message_bytes=100, max_servers=4)
    first, second, third, quiet = (InboundLimiter(limits, clock, lambda _: None, key_volume) for _ in range(4))

    first.count_data(data)
    second.count_data(data)
    with pytest.raises(InboundLimitExceeded, match="other servers of its key"):
        third.count_data(data)
    quiet.count_data(b"x\n")
    with pytest.raises(InboundLimitExceeded):
        first.count_data(b"")

    clock.now += 5
    second.count_data(data)
    quiet.count_data(data)


def test_values_of_all_servers_of_a_key_add_up() -> None:
    key_volume = InboundVolume(0.0)
    limiters = [
        InboundLimiter(McpLimits(max_inbound_values=10, max_servers=4), ManualClock(), lambda _: None, key_volume)
        for _ in range(3)
    ]

    limiters[0].count_values(6)
    limiters[1].count_values(2)
    with pytest.raises(InboundLimitExceeded, match="more than 10 values"):
        limiters[2].count_values(3)
