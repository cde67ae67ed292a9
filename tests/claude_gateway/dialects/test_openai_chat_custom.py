"""Custom tools in a chat: shown to Claude as functions of one string, called by plain text."""

from typing import Any

import orjson
import pytest

from claude_gateway.dialects.openai_chat import encode
from claude_gateway.dialects.openai_chat.parse import ParsedChat, parse
from claude_gateway.dialects.openai_chat.wire import ChatRequest
from claude_gateway.openapi.chat import CompletionCustomCall, ToolCallFragment
from workers.events import BlockEnded, BlockStarted, Event, Finished, InputDelta, Started, Usage
from workers.job import ToolUse

MODEL = "claude-sonnet-4-5-20250929"
IDENTITY = encode.Identity("chatcmpl-1", 1_700_000_000, MODEL)
GRAMMAR = {"syntax": "lark", "definition": "start: /.+/"}
OWN = {"type": "custom", "custom": {"name": "patch", "format": {"type": "grammar", "grammar": GRAMMAR}}}
FLAT = {"type": "custom", "name": "patch", "format": {"type": "grammar", **GRAMMAR}}
RAW = 'line "one"\nline two \N{SNOWMAN}'
CALL: list[Event] = [
    Started(MODEL),
    BlockStarted(ToolUse("toolu_1", "patch", {})),
    *(InputDelta(piece) for piece in ('{"in', 'put": "line \\"one', '\\"\\nline two \\u26', '03"}')),
    BlockEnded(),
    Finished("tool_use", Usage()),
]


def chat(definition: dict[str, Any], *messages: dict[str, Any]) -> ParsedChat:
    body = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}, *messages], "tools": [definition]}
    return parse(ChatRequest.model_validate(body), "owner", MODEL)


def whole(parsed: ParsedChat, events: list[Event]) -> dict[str, Any]:
    fold = encode.BodyFold(IDENTITY, custom=parsed.custom)
    for event in events:
        fold.feed(event)
    (call,) = fold.body()["choices"][0]["message"]["tool_calls"]
    return dict(call)


def streamed(parsed: ParsedChat, events: list[Event]) -> list[dict[str, Any]]:
    encoder = encode.ChunkEncoder(IDENTITY, include_usage=False, custom=parsed.custom)
    chunks = [data for event in events for _, data in encoder.feed(event)]
    deltas = [orjson.loads(data)["choices"][0]["delta"] for data in chunks if data != encode.DONE]
    return [delta["tool_calls"][0] for delta in deltas if "tool_calls" in delta]


@pytest.mark.parametrize("definition", [OWN, FLAT], ids=["own", "flat"])
def test_claude_is_shown_a_function_of_one_text_and_the_grammar(definition: dict[str, Any]) -> None:
    parsed = chat(definition)

    (tool,) = parsed.job.tools
    assert (tool.name, list(tool.schema["properties"])) == ("patch", ["input"])
    assert "start: /.+/" in tool.description
    assert parsed.warnings == ("tools.0: its grammar is shown to Claude, not enforced",)


def test_a_call_in_openais_own_form_is_a_custom_call() -> None:
    parsed = chat(OWN)

    call = whole(parsed, CALL)
    assert call == {"id": "toolu_1", "type": "custom", "custom": {"name": "patch", "input": RAW}}
    head, *deltas = streamed(parsed, CALL)
    assert head == {"index": 0, "id": "toolu_1", "type": "custom", "custom": {"name": "patch", "input": ""}}
    assert "".join(delta["custom"]["input"] for delta in deltas) == RAW
    assert CompletionCustomCall.model_validate(call)
    assert all(ToolCallFragment.model_validate(delta) for delta in (head, *deltas))


def test_an_editor_reads_the_raw_text_where_arguments_stand() -> None:
    parsed = chat(FLAT)

    assert whole(parsed, CALL)["function"] == {"name": "patch", "arguments": RAW}
    head, *deltas = streamed(parsed, CALL)
    assert head["function"] == {"name": "patch", "arguments": ""}
    assert "".join(delta["function"]["arguments"] for delta in deltas) == RAW


@pytest.mark.parametrize("definition", [OWN, FLAT], ids=["own", "flat"])
def test_a_call_with_an_empty_text_has_no_text(definition: dict[str, Any]) -> None:
    parsed = chat(definition)
    empty = [*CALL[:2], InputDelta('{"input": ""}'), *CALL[-2:]]

    (called,) = [value for key, value in whole(parsed, empty).items() if key in ("custom", "function")]
    assert called in ({"name": "patch", "input": ""}, {"name": "patch", "arguments": ""})
    assert len(streamed(parsed, empty)) == 1


@pytest.mark.parametrize("definition", [OWN, FLAT], ids=["own", "flat"])
def test_a_call_that_comes_back_is_what_claude_wrote(definition: dict[str, Any]) -> None:
    call = whole(chat(definition), CALL)
    past = {"role": "assistant", "content": None, "tool_calls": [call]}

    turns = chat(definition, past, {"role": "tool", "tool_call_id": "toolu_1", "content": "done"}).job.turns

    assert turns[1].blocks == (ToolUse("toolu_1", "patch", {"input": RAW}),)
