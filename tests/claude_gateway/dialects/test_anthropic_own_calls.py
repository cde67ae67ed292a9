"""Calls of Claude's own tools in a Messages answer, as the official client reads them."""

from typing import Any

import orjson
import pytest
from anthropic.lib.streaming._beta_messages import accumulate_event
from anthropic.types.beta import BetaMessage, BetaRawMessageStreamEvent
from pydantic import TypeAdapter

from claude_gateway.dialects.anthropic.encode import BodyFold, StreamEncoder
from workers.events import Event, Finished, Started, ToolBegan, ToolEnded, Usage

IDENTITY = ("msg_1", "the-model-asked-for")
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


def an_answer(name: str, arguments: dict[str, Any], end: ToolEnded) -> list[Event]:
    call = ToolBegan(end.id, name, "", arguments)
    return [Started("m"), call, end, Finished("end_turn", Usage(3, 4))]


def body_of(events: list[Event]) -> dict[str, Any]:
    fold = BodyFold(*IDENTITY)
    for event in events:
        fold.feed(event)
    return fold.body()


def gathered(events: list[Event]) -> dict[str, Any]:
    """What the official client makes of the stream."""
    encoder, message, buffers = StreamEncoder(*IDENTITY), None, {}
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
def test_every_call_is_a_block_of_the_client_s_types_and_the_stream_adds_up_to_it(
    name: str, arguments: dict[str, Any], kind: str, text: str, outcome: Any
) -> None:
    events = an_answer(name, arguments, ToolEnded("toolu_1", outcome, text))
    body = body_of(events)
    BetaMessage.model_validate(body)
    use, result = body["content"]
    assert use.get("name") == kind or kind == "mcp"
    assert result["type"] == f"{kind}_tool_result"
    assert result["tool_use_id"] == use["id"]
    assert use["id"].startswith("mcptoolu_" if kind == "mcp" else "srvtoolu_")
    streamed = gathered(events)
    assert orjson.dumps(streamed["content"], option=orjson.OPT_SORT_KEYS) == orjson.dumps(
        body["content"], option=orjson.OPT_SORT_KEYS
    )


def test_a_command_that_failed_tells_its_exit_code() -> None:
    body = body_of(an_answer("Bash", {"command": "x"}, ToolEnded("1", "failed", "Exit code 127\nnot found")))
    content = body["content"][1]["content"]
    assert (content["return_code"], content["stderr"], content["stdout"]) == (127, "not found", "")


def test_searches_are_counted_and_what_they_found_is_linked() -> None:
    text = 'Links: [{"title": "News", "url": "https://example.com/"}]\n'
    events = an_answer("WebSearch", {"query": "news"}, ToolEnded("1", "ok", text))
    body = body_of(events)
    assert body["usage"]["server_tool_use"]["web_search_requests"] == 1
    assert gathered(events)["usage"]["server_tool_use"] == body["usage"]["server_tool_use"]
    (found,) = body["content"][1]["content"]
    assert (found["title"], found["url"]) == ("News", "https://example.com/")
    assert "server_tool_use" not in body_of(an_answer("Bash", {"command": "x"}, ToolEnded("1", "ok")))["usage"]
