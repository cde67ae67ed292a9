"""Limits of a message on its raw bytes, with any chunks and any content of strings."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gateway.mcp_servers.limits import McpLimits
from claude_gateway.mcp_servers.message_scan import EventScanner, LineScanner, MessageScanner

LIMITS = McpLimits(max_message_bytes=10_000, max_message_values=100, max_message_depth=10, max_number_digits=20)
Feed = Callable[[bytes], None]


class LimitExceeded(Exception):
    pass


def raise_limit_exceeded(reason: str) -> None:
    raise LimitExceeded(reason.format(LIMITS))


def create_feed(kind: type[Any], limits: McpLimits = LIMITS) -> Feed:
    feed: Feed = kind(limits, raise_limit_exceeded, lambda _: None).feed
    return feed


def feed_in_chunks(feed: Feed, data: bytes, step: int) -> None:
    for start in range(0, len(data), step):
        feed(data[start : start + step])


def body(data: bytes) -> bytes:
    return data


def line(data: bytes) -> bytes:
    return b'{"log": "\n' + data + b"\n"


def event(data: bytes) -> bytes:
    return b'id: "\r\nevent: message\r\ndata: ' + data + b"\r\n\r\n"


def event_of_many_lines(data: bytes) -> bytes:
    return b"".join(b"data: " + chunk + b"\r" for chunk in data.split(b" "))


@pytest.mark.parametrize(
    ("kind", "frame"),
    [(MessageScanner, body), (LineScanner, line), (EventScanner, event), (EventScanner, event_of_many_lines)],
)
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"[" + b"{}, " * 200 + b"0]", "more than 100 values"),
        (b"[" + b"0, " * 200 + b"0]", "more than 100 values"),
        (b'{"\\"' + b'": [], "' * 200 + b'": 0}', "more than 100 values"),
        (b'["\\\\", ' + b"{}, " * 200 + b"0]", "more than 100 values"),
        (b"[" * 11, "nested more than 10 levels deep"),
        (b'{"a":' * 11, "nested more than 10 levels deep"),
        (b"[" + b"9" * 21 + b"]", "more than 20 digits"),
        (b'["' + b"x" * 10_001 + b'"]', "larger than MAX_MCP_MESSAGE_MIB"),
    ],
)
@pytest.mark.parametrize("step", [1, 7, 100_000])
def test_rejects_message_beyond_the_limits_in_any_chunks(
    kind: type[Any], frame: Callable[[bytes], bytes], data: bytes, reason: str, step: int
) -> None:
    with pytest.raises(LimitExceeded, match=reason):
        feed_in_chunks(create_feed(kind), frame(data), step)


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (MessageScanner, json.dumps({"text": "[{},{}," * 100}).encode()),
        (MessageScanner, json.dumps({"text": '\\"[{},\\\\"' * 100}).encode()),
        (LineScanner, b"[0, 0, 0, 0, 0]\n" * 100),
        (EventScanner, b"data: [0, 0, 0, 0, 0]\n\n" * 100),
        (EventScanner, b"data: [0, 0, 0, 0, 0]\r\r" * 100),
        (EventScanner, b"data: [0, 0, 0, 0, 0]\r\n\r\n" * 100),
        (EventScanner, b": " + b"[{},{}," * 100 + b"\n"),
    ],
)
@pytest.mark.parametrize("step", [1, 3, 100_000])
def test_accepts_any_number_of_messages_within_the_limits(kind: type[Any], data: bytes, step: int) -> None:
    feed_in_chunks(create_feed(kind), data, step)


def test_two_byte_line_break_does_not_end_an_event() -> None:
    data = b"data: {},\r\n" * 100

    with pytest.raises(LimitExceeded, match="more than 100 values"):
        feed_in_chunks(create_feed(EventScanner), data, 1)


VALUES = st.recursive(
    st.none() | st.integers(-(10**15), 10**15) | st.text('ab"\\[]{},:\n\u2028é', max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('a"\\[{,', max_size=3), inner, max_size=4),
    max_leaves=30,
)


def count_values(value: Any) -> int:
    parts = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    return 1 + sum(map(count_values, parts))


def measure_depth(value: Any) -> int:
    parts = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if parts is None else 1 + max(map(measure_depth, parts), default=0)


@given(VALUES, st.booleans(), st.integers(1, 9))
def test_counts_at_least_the_values_and_levels_that_a_parser_creates(value: Any, ascii_only: bool, step: int) -> None:
    data = json.dumps(value, ensure_ascii=ascii_only).encode()
    value_count, depth = count_values(value), measure_depth(value)
    value_limits = McpLimits(max_message_values=(value_count - 2) // 2) if value_count > 2 else None
    depth_limits = McpLimits(max_message_depth=depth - 1) if depth else None

    for limits in (value_limits, depth_limits):
        if limits is not None:
            with pytest.raises(LimitExceeded):
                feed_in_chunks(create_feed(MessageScanner, limits), data, step)
