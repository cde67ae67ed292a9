"""Odd or broken Responses requests: each is rejected with a 4xx, or valid upstream without loss of text."""

from collections.abc import Iterator

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gateway.devtools.fake_anthropic.thinking_signature import compute_thinking_signature
from claude_gateway.devtools.fake_anthropic.validation import first_problem
from tests.claude_gateway.dialects.adapters.dialect_adapter import Json
from tests.claude_gateway.dialects.adapters.openai_responses import SIGNER, OpenAIResponses
from tests.claude_gateway.dialects.strategies.json_values import json_objects
from tests.claude_gateway.dialects.test_odd_requests import (
    find_texts,
    ids,
    limits,
    models,
    names,
    optional_fields,
    parse_or_reject,
    probabilities,
    texts,
    to_upstream_request,
)

parts = st.sampled_from(["input_text", "output_text", "text"]).flatmap(
    lambda kind: texts.map(lambda text: {"type": kind, "text": text})
)
contents = texts | st.none() | st.lists(parts, max_size=3)
messages = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "developer", "user", "user", "assistant"]), "content": contents},
    optional={"type": st.just("message"), "id": st.just("msg_client"), "status": st.just("completed")},
)
reasoning_items = st.sampled_from(
    [
        {
            "type": "reasoning",
            "summary": [],
            "encrypted_content": SIGNER.sign(orjson.dumps([["hm", compute_thinking_signature("hm")]])),
        },
        {"type": "reasoning", "summary": [], "encrypted_content": SIGNER.sign(b'[["b3BhcXVl"]]')},
        {"type": "reasoning", "summary": [], "content": None, "encrypted_content": "gAAAAABfake"},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": ""}]},
    ]
)
hosted_items = st.sampled_from(
    [{"type": "web_search_call", "id": "ws_1", "status": "completed"}, {"type": "compaction"}]
)
outputs = texts | st.lists(parts, max_size=2)


@st.composite
def calls(draw: st.DrawFn) -> Json:
    call = {"call_id": draw(ids), "name": draw(names)}
    if draw(st.booleans()):
        return {"type": "custom_tool_call", **call, "input": draw(texts)}
    return {"type": "function_call", **call, "arguments": orjson.dumps(draw(json_objects)).decode()}


@st.composite
def calls_and_outputs(draw: st.DrawFn) -> list[Json]:
    """Draw calls between thinking and texts of the assistant, then some of their outputs in any order."""
    drawn_calls = draw(st.lists(calls(), min_size=1, max_size=3, unique_by=lambda call: call["call_id"]))
    before = draw(st.lists(reasoning_items | hosted_items, max_size=2))
    drawn_outputs = [
        {
            "type": f"{call['type'].removesuffix('_call')}_call_output",
            "call_id": call["call_id"],
            "output": draw(outputs),
        }
        for call in drawn_calls
        if draw(st.integers(0, 3))
    ]
    between = draw(st.lists(messages | hosted_items, max_size=1))
    return [*draw(st.permutations([*before, *drawn_calls])), *draw(st.permutations([*drawn_outputs, *between]))]


groups = st.lists(
    st.lists(messages | reasoning_items | hosted_items, min_size=1, max_size=3) | calls_and_outputs(),
    min_size=1,
    max_size=4,
)
items = groups.map(lambda item_groups: [item for group in item_groups for item in group])
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
    lambda required, optional: {**required, **optional},
    st.fixed_dictionaries({"model": models, "input": items}),
    optional_fields(
        instructions=texts,
        max_output_tokens=limits,
        temperature=st.none() | st.floats(0, 2),
        top_p=probabilities,
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
def test_accepted_request_is_valid_upstream_and_loses_no_text(request: Json) -> None:
    job = parse_or_reject(OpenAIResponses(), request)
    if job is None:
        return
    body = to_upstream_request(job)
    assert first_problem(body) is None
    upstream_text = orjson.dumps(body).decode()
    assert [
        text for text in find_request_texts(request) if orjson.dumps(text).decode()[1:-1] not in upstream_text
    ] == []


def find_request_texts(request: Json) -> Iterator[str]:
    """Collect every text of the request that is not blank."""
    yield from find_texts(request)
    yield from (text for text in (request.get("instructions"),) if text and text.strip())
    for item in request["input"]:
        yield from (
            item[name] for name in ("output", "input") if isinstance(item.get(name), str) and item[name].strip()
        )
