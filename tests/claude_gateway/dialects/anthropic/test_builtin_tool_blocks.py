"""Blocks of built-in tool calls in a Messages reply, as the official client reads them."""

from typing import Any

import orjson
import pytest
from anthropic.lib.streaming._beta_messages import accumulate_event
from anthropic.types.beta import BetaMessage, BetaRawMessageStreamEvent
from pydantic import TypeAdapter

from claude_gateway.dialects.anthropic.encode import MessagesBodyBuilder, MessagesStreamEncoder
from workers.core.events import Event, Finished, Started, TokenUsage, ToolCallFinished, ToolCallStarted

IDENTITY = ("msg_1", "the-requested-model")
EVENT: TypeAdapter[Any] = TypeAdapter(BetaRawMessageStreamEvent)
CALLS: list[tuple[str, dict[str, Any], str]] = [
    ("Bash", {"command": "ls"}, "bash_code_execution"),
    ("Read", {"file_path": "a"}, "text_editor_code_execution"),
    ("Write", {"file_path": "a", "content": "x"}, "text_editor_code_execution"),
    ("Edit", {"file_path": "a", "old_string": "x", "new_string": "y"}, "text_editor_code_execution"),
    ("WebSearch", {"query": "news"}, "web_search"),
    ("Grep", {"pattern": "TODO"}, "code_execution"),
    ("Agent", {}, "code_execution"),
    ("Bash", {}, "code_execution"),
    ("mcp__two_words__a__b", {"n": 1}, "mcp"),
]
TEXTS = ["", "fine", "Exit code 2\nno", "Links: [1, {}]\nLinks: [x]\n", "File does not exist."]


def create_reply_events(name: str, arguments: dict[str, Any], finished_call: ToolCallFinished) -> list[Event]:
    call = ToolCallStarted(finished_call.id, name, "", arguments)
    return [Started("m"), call, finished_call, Finished("end_turn", TokenUsage(3, 4))]


def encode_body(events: list[Event]) -> dict[str, Any]:
    builder = MessagesBodyBuilder(*IDENTITY)
    for event in events:
        builder.feed(event)
    return builder.body()


def accumulate_stream(events: list[Event]) -> dict[str, Any]:
    """Return the message that the official client assembles from the stream."""
    encoder, message, buffers = MessagesStreamEncoder(*IDENTITY), None, {}
    for event in events:
        for kind, data in encoder.feed(event):
            if kind not in ("ping", "message_stop"):
                message = accumulate_event(
                    event=EVENT.validate_python(orjson.loads(data)),
                    current_snapshot=message,
                    json_bufs=buffers,
                    request_headers={},  # type: ignore[arg-type]
                )
    assert message is not None
    return message.to_dict()


@pytest.mark.parametrize("outcome", ["ok", "failed", "denied"])
@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize(("name", "arguments", "kind"), CALLS)
def test_encodes_builtin_tool_call_as_a_typed_block_in_stream_and_body(
    name: str, arguments: dict[str, Any], kind: str, text: str, outcome: Any
) -> None:
    events = create_reply_events(name, arguments, ToolCallFinished("toolu_1", outcome, text))
    body = encode_body(events)
    BetaMessage.model_validate(body)
    tool_use, result = body["content"]
    assert tool_use.get("name") == kind or kind == "mcp"
    assert result["type"] == f"{kind}_tool_result"
    assert result["tool_use_id"] == tool_use["id"]
    assert tool_use["id"].startswith("mcptoolu_" if kind == "mcp" else "srvtoolu_")
    streamed = accumulate_stream(events)
    assert orjson.dumps(streamed["content"], option=orjson.OPT_SORT_KEYS) == orjson.dumps(
        body["content"], option=orjson.OPT_SORT_KEYS
    )


def test_reports_exit_code_of_failed_command() -> None:
    body = encode_body(
        create_reply_events("Bash", {"command": "x"}, ToolCallFinished("1", "failed", "Exit code 127\nnot found"))
    )
    content = body["content"][1]["content"]
    assert (content["return_code"], content["stderr"], content["stdout"]) == (127, "not found", "")


def test_counts_searches_and_returns_their_links() -> None:
    text = 'Links: [{"title": "News", "url": "https://example.com/"}]\n'
    events = create_reply_events("WebSearch", {"query": "news"}, ToolCallFinished("1", "ok", text))
    body = encode_body(events)
    assert body["usage"]["server_tool_use"]["web_search_requests"] == 1
    assert accumulate_stream(events)["usage"]["server_tool_use"] == body["usage"]["server_tool_use"]
    (search_result,) = body["content"][1]["content"]
    assert (search_result["title"], search_result["url"]) == ("News", "https://example.com/")
    assert (
        "server_tool_use"
        not in encode_body(create_reply_events("Bash", {"command": "x"}, ToolCallFinished("1", "ok")))["usage"]
    )
