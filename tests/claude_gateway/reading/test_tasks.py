"""A large request is read in two steps, of which the first returns nothing long."""

import pickle
from functools import partial

import orjson
import pytest

from claude_gateway.dialects.anthropic.parse import parse
from claude_gateway.dialects.openai_responses.parse import kept_references, references
from claude_gateway.errors import ApiError
from claude_gateway.inspection.told_by import Kind
from claude_gateway.prompt.conversation import Remembered
from claude_gateway.reading.debugging import MODELS, describe, examine, inspected_model
from claude_gateway.reading.json_body import IDENTITY, Body
from claude_gateway.reading.models import messages_model, responses_model
from claude_gateway.reading.tasks import parse_whole, read_head
from workers.job import Text, Thought, ToolUse, Turn

MODEL = "claude-sonnet-4-5"
LONG = "x" * 50_000
LISTS = '{"a":[' + "[]," * 60_000 + "[]]}"
CALL = {"type": "tool_use", "id": "c1", "name": "f", "input": {}}
TOOL = {"name": "f", "input_schema": {"type": "object"}}


def body(value: object) -> Body:
    return Body(orjson.dumps(value), IDENTITY, 10_000_000)


def test_a_head_holds_what_is_short_and_says_what_was_sent() -> None:
    sent = {
        "model": MODEL,
        "messages": [{"role": "user", "content": LONG}],
        "system": LONG,
        "tools": [TOOL],
        "session_id": "s",
        "unheard_of": [LONG],
    }

    head = read_head(body(sent), messages_model)

    assert (head.model, head.session_id, head.tools) == (MODEL, "s", [])
    assert len(pickle.dumps(head)) < 3_000


def test_a_head_of_a_response_names_the_items_that_it_refers_to() -> None:
    sent = {"model": MODEL, "input": [{"role": "user", "content": LONG}, {"type": "item_reference", "id": "r1"}]}
    assert references(read_head(body(sent), responses_model, kept_references)) == ["r1"]


def test_an_answer_that_only_the_gateway_remembers_is_asked_for_and_put_back() -> None:
    sent = {
        "model": MODEL,
        "messages": [
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": [CALL]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "r"}]},
        ],
        "tools": [TOOL],
    }
    whole = Turn("assistant", (Thought("hm", "signed"), ToolUse("c1", "f", {})))
    step = partial(parse_whole, body(sent), messages_model, parse, ("a", MODEL, Remembered()))

    without, wanted = step({})
    assert wanted == [(MODEL, "c1")]
    assert without.job.turns[1].blocks == whole.blocks[1:]

    given, wanted = step({(MODEL, "c1"): whole})
    assert (given.job.turns[1], wanted) == (whole, [])
    assert pickle.loads(pickle.dumps(given)) == given


def test_a_job_of_too_many_values_is_refused_however_its_arguments_are_written() -> None:
    sent = {
        "model": MODEL,
        "messages": [
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": [{**CALL, "id": id_, "input": LISTS} for id_ in "ab"]},
        ],
    }
    with pytest.raises(ApiError) as found:
        parse_whole(body(sent), messages_model, parse, ("a", MODEL), {})
    assert found.value.status == 413


@pytest.mark.parametrize("kind", list(Kind))
def test_what_is_shown_of_a_request_crosses_from_process_to_process(kind: Kind) -> None:
    sent = {
        Kind.CHAT: {"model": MODEL, "messages": [{"role": "user", "content": "a"}]},
        Kind.RESPONSES: {"model": MODEL, "input": "a"},
        Kind.MESSAGES: {"model": MODEL, "messages": [{"role": "user", "content": "a"}]},
        Kind.GEMINI: {"contents": [{"parts": [{"text": "a"}]}]},
    }[kind]
    choose = partial(inspected_model, ("accept",), kind.value)

    examined = examine(body(sent), choose, ("accept",), kind.value)

    again = pickle.loads(pickle.dumps(examined))
    assert (again.kind, again.treated, type(again.asked)) == (kind, examined.treated, MODELS[kind])
    assert describe(body(sent), pickle.loads(pickle.dumps(choose)), None, ())[0] is not None


def test_texts_of_a_job_are_the_same_on_the_other_side() -> None:
    assert pickle.loads(pickle.dumps(Turn("user", (Text("é\U0001f600"),)))) == Turn("user", (Text("é\U0001f600"),))
