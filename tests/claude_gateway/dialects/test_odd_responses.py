"""Whatever callers of Responses send, odd or broken: it is named in a 4xx, or the real API would take what becomes of
it, and no word of it is lost."""

from collections.abc import Iterator

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gateway.demo.refusals import refusal
from claude_gateway.demo.thoughts import sign
from tests.claude_gateway.dialects.anything import json_objects
from tests.claude_gateway.dialects.face import Json
from tests.claude_gateway.dialects.openai_responses import SEAL, OpenAIResponses
from tests.claude_gateway.dialects.test_odd_requests import (
    as_the_upstream_sees_it,
    ids,
    limits,
    models,
    names,
    odds,
    optional,
    said,
    taken,
    texts,
)

parts = st.sampled_from(["input_text", "output_text", "text"]).flatmap(
    lambda kind: texts.map(lambda text: {"type": kind, "text": text})
)
contents = texts | st.none() | st.lists(parts, max_size=3)
spoken = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "developer", "user", "user", "assistant"]), "content": contents},
    optional={"type": st.just("message"), "id": st.just("msg_theirs"), "status": st.just("completed")},
)
thoughts = st.sampled_from(
    [
        {"type": "reasoning", "summary": [], "encrypted_content": SEAL.seal(orjson.dumps([["hm", sign("hm")]]))},
        {"type": "reasoning", "summary": [], "encrypted_content": SEAL.seal(b'[["b3BhcXVl"]]')},
        {"type": "reasoning", "summary": [], "content": None, "encrypted_content": "gAAAAABfake"},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": ""}]},
    ]
)
hosted = st.sampled_from([{"type": "web_search_call", "id": "ws_1", "status": "completed"}, {"type": "compaction"}])
outputs = texts | st.lists(parts, max_size=2)


@st.composite
def one_call(draw: st.DrawFn) -> Json:
    call = {"call_id": draw(ids), "name": draw(names)}
    if draw(st.booleans()):
        return {"type": "custom_tool_call", **call, "input": draw(texts)}
    return {"type": "function_call", **call, "arguments": orjson.dumps(draw(json_objects)).decode()}


@st.composite
def calls_and_outputs(draw: st.DrawFn) -> list[Json]:
    """Calls between thoughts and words of the assistant; then some of their outputs, in any order, others between."""
    made = draw(st.lists(one_call(), min_size=1, max_size=3, unique_by=lambda call: call["call_id"]))
    before = draw(st.lists(thoughts | hosted, max_size=2))
    answered = [
        {
            "type": f"{call['type'].removesuffix('_call')}_call_output",
            "call_id": call["call_id"],
            "output": draw(outputs),
        }
        for call in made
        if draw(st.integers(0, 3))
    ]
    between = draw(st.lists(spoken | hosted, max_size=1))
    return [*draw(st.permutations([*before, *made])), *draw(st.permutations([*answered, *between]))]


groups = st.lists(
    st.lists(spoken | thoughts | hosted, min_size=1, max_size=3) | calls_and_outputs(), min_size=1, max_size=4
)
items = groups.map(lambda found: [item for group in found for item in group])
tools = st.lists(
    st.sampled_from(
        [
            {"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": None},
            {
                "type": "custom",
                "name": "patch",
                "format": {"type": "grammar", "syntax": "lark", "definition": "s: /.+/"},
            },
            {"type": "namespace", "name": "n.s", "description": "", "tools": [{"type": "function", "name": "x" * 150}]},
            {"type": "web_search"},
            {"name": "ToolSearch", "input_schema": {"type": "object"}},
        ]
    ),
    max_size=3,
    unique_by=str,
)
requests = st.builds(
    lambda required, more: {**required, **more},
    st.fixed_dictionaries({"model": models, "input": items}),
    optional(
        instructions=texts,
        max_output_tokens=limits,
        temperature=st.none() | st.floats(0, 2),
        top_p=odds,
        reasoning=st.sampled_from([{"effort": "high"}, {"effort": "none"}, {"summary": "auto"}, {"effort": "max"}]),
        tools=tools,
        tool_choice=st.sampled_from(
            ["auto", "none", "required", {"type": "allowed_tools", "mode": "required", "tools": []}, {"type": "mcp"}]
        ),
        parallel_tool_calls=st.booleans(),
    ),
)


@pytest.mark.promise("messages.odd-but-legal")
@given(requests)
def test_no_request_that_is_taken_is_refused_upstream_and_no_text_of_it_is_lost(request: Json) -> None:
    job = taken(OpenAIResponses(), request)
    if job is None:
        return
    body = as_the_upstream_sees_it(job)
    assert refusal(body) is None
    there = orjson.dumps(body).decode()
    assert [text for text in words(request) if orjson.dumps(text).decode()[1:-1] not in there] == []


def words(request: Json) -> Iterator[str]:
    """Every text of it that says something."""
    yield from said(request)
    yield from (text for text in (request.get("instructions"),) if text and text.strip())
    for item in request["input"]:
        yield from (
            item[name] for name in ("output", "input") if isinstance(item.get(name), str) and item[name].strip()
        )
