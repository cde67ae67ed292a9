"""Tests of the coding agent of the benchmarks."""

import json
from typing import Any

import pytest

from bench.coding_agent import TurnTimes, compute_added_seconds, make_text, make_tools, parse_message_stream
from claude_gateway.devtools.fake_anthropic.coding_agent import build_agent_script
from claude_gateway.devtools.fake_anthropic.server import RecordedRequest

Json = dict[str, Any]

TEXT_EVENTS: list[Json] = [
    {"type": "message_start", "message": {"content": []}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello "}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "you"}},
    {"type": "content_block_stop", "index": 0},
]
CALL_EVENTS: list[Json] = [
    {
        "type": "content_block_start",
        "index": 1,
        "content_block": {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {}},
    },
    {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '{"comm'}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": 'and":"ls"}'}},
    {"type": "content_block_stop", "index": 1},
]
END_EVENT: Json = {"type": "message_stop"}


def encode_stream(*events: Json) -> bytes:
    return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events).encode()


def record_request(raw: bytes, received_at: float, ended_at: float) -> RecordedRequest:
    return RecordedRequest("/v1/messages", {}, {}, raw, received_at=received_at, ended_at=ended_at)


def test_stream_is_parsed_to_the_blocks_that_the_client_sends_back() -> None:
    assert parse_message_stream(encode_stream(*TEXT_EVENTS, *CALL_EVENTS, END_EVENT)) == [
        {"type": "text", "text": "Hello you"},
        {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {"command": "ls"}},
    ]


@pytest.mark.parametrize(
    ("events", "message"),
    [
        (TEXT_EVENTS, "has no end"),
        ([*TEXT_EVENTS, {"type": "error", "error": {"type": "overloaded_error"}}], "overloaded_error"),
    ],
)
def test_stream_without_its_end_is_an_error(events: list[Json], message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        parse_message_stream(encode_stream(*events))


def test_added_time_excludes_the_upstream_requests_of_the_turn() -> None:
    turn = TurnTimes("agent-1", sent_at=10.0, ended_at=12.0)
    requests = [
        record_request(b"system of agent-1", 5.0, 6.0),
        record_request(b"system of agent-1", 10.1, 10.4),
        record_request(b"system of agent-1", 10.5, 11.5),
        record_request(b"system of agent-2", 10.1, 11.9),
    ]

    assert compute_added_seconds(turn, requests) == pytest.approx(0.7)


def test_turn_without_an_upstream_request_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="agent-1"):
        compute_added_seconds(TurnTimes("agent-1", 10.0, 12.0), [record_request(b"agent-2", 10.1, 11.0)])


@pytest.mark.parametrize("size", [0, 100, 12_000])
def test_text_has_its_title_and_about_the_size(size: int) -> None:
    text = make_text("the title", size)

    assert text.startswith("the title")
    assert size - 60 <= len(text) <= size + 60


def test_fake_api_has_a_tool_for_each_kind_of_turn() -> None:
    for number in range(6):
        task = {"role": "user", "content": f"{{{{agent turns=6 from={number} dir=/tmp/a}}}}"}

        script = build_agent_script({"messages": [task], "tools": make_tools()})

        assert script is not None
        assert script.tool_calls
