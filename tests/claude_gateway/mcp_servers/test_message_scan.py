"""A message is bounded on its raw bytes, however they are cut and whatever stands in its strings."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gateway.mcp_servers.bounds import Bounds
from claude_gateway.mcp_servers.message_scan import EventScan, LineScan, MessageScan

BOUNDS = Bounds(message_bytes=10_000, message_values=100, message_depth=10, number_digits=20)
Take = Callable[[bytes], None]


class Refused(Exception):
    pass


def refuse(why: str) -> None:
    raise Refused(why.format(BOUNDS))


def scan(kind: type[Any], bounds: Bounds = BOUNDS) -> Take:
    take: Take = kind(bounds, refuse, lambda _: None).take
    return take


def take_in_pieces(take: Take, sent: bytes, step: int) -> None:
    for start in range(0, len(sent), step):
        take(sent[start : start + step])


def body(data: bytes) -> bytes:
    return data


def line(data: bytes) -> bytes:
    return b'{"log": "\n' + data + b"\n"


def event(data: bytes) -> bytes:
    return b'id: "\r\nevent: message\r\ndata: ' + data + b"\r\n\r\n"


def event_of_many_lines(data: bytes) -> bytes:
    return b"".join(b"data: " + piece + b"\r" for piece in data.split(b" "))


@pytest.mark.parametrize(
    ("kind", "frame"),
    [(MessageScan, body), (LineScan, line), (EventScan, event), (EventScan, event_of_many_lines)],
)
@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"[" + b"{}, " * 200 + b"0]", "more than 100 values"),
        (b"[" + b"0, " * 200 + b"0]", "more than 100 values"),
        (b'{"\\"' + b'": [], "' * 200 + b'": 0}', "more than 100 values"),
        (b'["\\\\", ' + b"{}, " * 200 + b"0]", "more than 100 values"),
        (b"[" * 11, "nested more than 10 deep"),
        (b'{"a":' * 11, "nested more than 10 deep"),
        (b"[" + b"9" * 21 + b"]", "more than 20 digits"),
        (b'["' + b"x" * 10_001 + b'"]', "larger than MCP_MESSAGE_MIB"),
    ],
)
@pytest.mark.parametrize("step", [1, 7, 100_000])
def test_refuses_a_message_beyond_the_bounds_in_whatever_pieces_it_comes(
    kind: type[Any], frame: Callable[[bytes], bytes], data: bytes, why: str, step: int
) -> None:
    with pytest.raises(Refused, match=why):
        take_in_pieces(scan(kind), frame(data), step)


@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        (MessageScan, json.dumps({"text": "[{},{}," * 100}).encode()),
        (MessageScan, json.dumps({"text": '\\"[{},\\\\"' * 100}).encode()),
        (LineScan, b"[0, 0, 0, 0, 0]\n" * 100),
        (EventScan, b"data: [0, 0, 0, 0, 0]\n\n" * 100),
        (EventScan, b"data: [0, 0, 0, 0, 0]\r\r" * 100),
        (EventScan, b"data: [0, 0, 0, 0, 0]\r\n\r\n" * 100),
        (EventScan, b": " + b"[{},{}," * 100 + b"\n"),
    ],
)
@pytest.mark.parametrize("step", [1, 3, 100_000])
def test_takes_any_number_of_messages_within_the_bounds(kind: type[Any], sent: bytes, step: int) -> None:
    take_in_pieces(scan(kind), sent, step)


def test_a_line_break_of_two_bytes_does_not_end_an_event() -> None:
    sent = b"data: {},\r\n" * 100

    with pytest.raises(Refused, match="more than 100 values"):
        take_in_pieces(scan(EventScan), sent, 1)


VALUES = st.recursive(
    st.none() | st.integers(-(10**15), 10**15) | st.text('ab"\\[]{},:\n\u2028é', max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('a"\\[{,', max_size=3), inner, max_size=4),
    max_leaves=30,
)


def values_of(value: Any) -> int:
    parts = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    return 1 + sum(map(values_of, parts))


def depth_of(value: Any) -> int:
    parts = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if parts is None else 1 + max(map(depth_of, parts), default=0)


@given(VALUES, st.booleans(), st.integers(1, 9))
def test_counts_no_fewer_values_and_levels_than_a_parser_makes(value: Any, ascii_only: bool, step: int) -> None:
    sent = json.dumps(value, ensure_ascii=ascii_only).encode()
    most_values, depth = values_of(value), depth_of(value)
    too_few = Bounds(message_values=(most_values - 2) // 2) if most_values > 2 else None
    too_shallow = Bounds(message_depth=depth - 1) if depth else None

    for bounds in (too_few, too_shallow):
        if bounds is not None:
            with pytest.raises(Refused):
                take_in_pieces(scan(MessageScan, bounds), sent, step)
