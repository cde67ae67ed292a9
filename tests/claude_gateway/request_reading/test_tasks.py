"""The two steps of parsing a large request; the first step returns only short fields."""

import pickle
from functools import partial

import orjson
import pytest

from claude_gateway.core.errors import ApiError
from claude_gateway.debug.examination import choose_debug_schema, examine_request, to_debug_json
from claude_gateway.dialects.anthropic.parse import parse
from claude_gateway.dialects.common.content.conversation import SessionHistory
from claude_gateway.dialects.common.dialect_name import DialectName
from claude_gateway.dialects.openai_responses.parse import find_referenced_ids, keep_only_references
from claude_gateway.request_reading.formats import REQUEST_FORMATS, choose_messages_schema, choose_responses_schema
from claude_gateway.request_reading.json_body import IDENTITY_ENCODING, RequestBody
from claude_gateway.request_reading.tasks import parse_job, parse_request_head
from workers.core.job import Text, ThinkingBlock, ToolUse, Turn

MODEL = "claude-sonnet-4-5"
LONG_TEXT = "x" * 50_000
MANY_LISTS_TEXT = '{"a":[' + "[]," * 60_000 + "[]]}"
CALL = {"type": "tool_use", "id": "c1", "name": "f", "input": {}}
TOOL = {"name": "f", "input_schema": {"type": "object"}}


def to_body(value: object) -> RequestBody:
    return RequestBody(orjson.dumps(value), IDENTITY_ENCODING, 10_000_000)


def test_head_contains_short_fields_and_the_set_of_sent_fields() -> None:
    request_object = {
        "model": MODEL,
        "messages": [{"role": "user", "content": LONG_TEXT}],
        "system": LONG_TEXT,
        "tools": [TOOL],
        "session_id": "s",
        "unknown_field": [LONG_TEXT],
    }

    head = parse_request_head(to_body(request_object), choose_messages_schema)

    assert (head.model, head.session_id, head.tools) == (MODEL, "s", [])
    assert len(pickle.dumps(head)) < 3_000


def test_head_of_a_responses_request_lists_the_referenced_items() -> None:
    request_object = {
        "model": MODEL,
        "input": [{"role": "user", "content": LONG_TEXT}, {"type": "item_reference", "id": "r1"}],
    }
    assert find_referenced_ids(
        parse_request_head(to_body(request_object), choose_responses_schema, keep_only_references)
    ) == ["r1"]


def test_parser_requests_stored_reply_and_restores_its_thinking() -> None:
    request_object = {
        "model": MODEL,
        "messages": [
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": [CALL]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "r"}]},
        ],
        "tools": [TOOL],
    }
    complete_turn = Turn("assistant", (ThinkingBlock("hm", "signed"), ToolUse("c1", "f", {})))
    parse_step = partial(
        parse_job, to_body(request_object), choose_messages_schema, parse, ("a", MODEL, SessionHistory())
    )

    parsed, missing_replies = parse_step({})
    assert missing_replies == [(MODEL, "c1")]
    assert parsed.job.turns[1].blocks == complete_turn.blocks[1:]

    restored, missing_replies = parse_step({(MODEL, "c1"): complete_turn})
    assert (restored.job.turns[1], missing_replies) == (complete_turn, [])
    assert pickle.loads(pickle.dumps(restored)) == restored


def test_rejects_job_with_too_many_values_in_arguments_that_are_text() -> None:
    request_object = {
        "model": MODEL,
        "messages": [
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": [{**CALL, "id": id_, "input": MANY_LISTS_TEXT} for id_ in "ab"]},
        ],
    }
    with pytest.raises(ApiError) as raised:
        parse_job(to_body(request_object), choose_messages_schema, parse, ("a", MODEL), {})
    assert raised.value.status == 413


@pytest.mark.parametrize("kind", list(DialectName))
def test_examined_request_survives_pickling(kind: DialectName) -> None:
    request_object = {
        DialectName.OPENAI_CHAT: {"model": MODEL, "messages": [{"role": "user", "content": "a"}]},
        DialectName.OPENAI_RESPONSES: {"model": MODEL, "input": "a"},
        DialectName.ANTHROPIC: {"model": MODEL, "messages": [{"role": "user", "content": "a"}]},
        DialectName.GEMINI: {"contents": [{"parts": [{"text": "a"}]}]},
    }[kind]
    choose = partial(choose_debug_schema, ("accept",), kind.value)

    examined = examine_request(to_body(request_object), choose, ("accept",), kind.value)

    unpickled = pickle.loads(pickle.dumps(examined))
    assert (unpickled.dialect, unpickled.parameters, type(unpickled.request)) == (
        kind,
        examined.parameters,
        REQUEST_FORMATS[kind].schema,
    )
    assert to_debug_json(to_body(request_object), pickle.loads(pickle.dumps(choose)), None, ())[0] is not None


def test_text_of_a_turn_survives_pickling() -> None:
    assert pickle.loads(pickle.dumps(Turn("user", (Text("é\U0001f600"),)))) == Turn("user", (Text("é\U0001f600"),))
