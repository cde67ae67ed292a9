"""Unusual requests: the gateway rejects each with a 4xx that names the field, or makes it valid for the upstream."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gateway.core.errors import ApiError
from claude_gateway.devtools.fake_anthropic.thinking_signature import compute_thinking_signature
from claude_gateway.devtools.fake_anthropic.validation import first_problem
from tests.claude_gateway.dialects.adapters.anthropic import Anthropic
from tests.claude_gateway.dialects.adapters.dialect_adapter import DialectAdapter, Json
from tests.claude_gateway.dialects.adapters.openai_chat import OpenAIChat
from tests.claude_gateway.dialects.strategies.jobs import MODELS, PIXEL_PNG_BASE64
from tests.claude_gateway.dialects.strategies.json_values import json_objects
from tests.workers.params.test_generation_params import upstream_body
from workers.core.job import ChatJob
from workers.core.message_blocks import encode_block
from workers.params.name_aliases import build_aliases, sanitize_names

models = st.sampled_from([*MODELS, "claude-opus-4-5-20250929", "claude-opus-4-7", "claude-future"])
# Each text that is not blank is unique, so that the tests notice a lost text.
texts = st.sampled_from(["", " ", "\n\t"]) | st.uuids().map(str)
ids = st.sampled_from(["call_0", "call_1", "call:2/odd", "call_0_1", ""])
names = st.sampled_from(["weather", "a.b", "ToolSearch", "x" * 150])
limits = st.none() | st.integers(1, 5_000)
probabilities = st.none() | st.floats(0, 1)


def optional_fields(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    return st.fixed_dictionaries({}, optional=fields)


# Anthropic's format.
text_blocks = texts.map(lambda text: {"type": "text", "text": text})
image_blocks = st.just(
    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL_PNG_BASE64}}
)
call_blocks = st.builds(lambda i, n, a: {"type": "tool_use", "id": i, "name": n, "input": a}, ids, names, json_objects)
thinking_blocks = st.sampled_from(
    [
        {"type": "thinking", "thinking": "hm", "signature": compute_thinking_signature("hm")},
        {"type": "thinking", "thinking": "unsigned", "signature": ""},
        {"type": "redacted_thinking", "data": "b3BhcXVl"},
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
    ]
)


def result_block(id_: str) -> st.SearchStrategy[Json]:
    return st.fixed_dictionaries(
        {"type": st.just("tool_result"), "tool_use_id": st.just(id_)},
        optional={"content": texts | st.lists(text_blocks, max_size=2), "is_error": st.booleans()},
    )


def message(*roles: str, blocks: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    contents = texts | st.lists(blocks, max_size=4)
    return st.fixed_dictionaries({"role": st.sampled_from(roles), "content": contents})


@st.composite
def calls_with_results(draw: st.DrawFn) -> list[Json]:
    """Draw thinking, texts and calls in any order, then some of the results in any order between other blocks."""
    drawn_calls = draw(st.lists(call_blocks, min_size=1, max_size=3, unique_by=lambda call: call["id"]))
    others = draw(st.lists(text_blocks | thinking_blocks, max_size=3))
    drawn_results = [draw(result_block(call["id"])) for call in drawn_calls if draw(st.integers(0, 3))]
    other_blocks = draw(st.lists(text_blocks | image_blocks, max_size=2))
    return [
        {"role": "assistant", "content": draw(st.permutations(drawn_calls + others))},
        {"role": "user", "content": draw(st.permutations(drawn_results + other_blocks))},
    ]


single_messages = (
    message("user", blocks=text_blocks | image_blocks)
    | message("assistant", blocks=text_blocks | thinking_blocks)
    | message("system", blocks=text_blocks)
    | message("user", blocks=ids.flatmap(result_block))
)
messages = st.lists(
    st.lists(single_messages, min_size=1, max_size=3) | calls_with_results(), min_size=1, max_size=4
).map(lambda groups: [message for group in groups for message in group])
anthropic_requests = st.builds(
    lambda required, optional: {**required, **optional},
    st.fixed_dictionaries({"model": models, "messages": messages}),
    optional_fields(
        system=texts | st.lists(text_blocks, max_size=2),
        max_tokens=limits,
        temperature=probabilities,
        top_p=probabilities,
        top_k=st.integers(1, 9),
        stop_sequences=st.lists(texts, max_size=2),
        thinking=st.sampled_from(
            [{"type": "enabled", "budget_tokens": 3_000}, {"type": "adaptive"}, {"type": "disabled"}]
        ),
        output_config=st.sampled_from([{"effort": "max"}, {"effort": "low"}, {}]),
        tools=st.lists(names, max_size=2, unique=True).map(
            lambda tool_names: [{"name": name, "input_schema": {"type": "object"}} for name in tool_names]
        ),
        tool_choice=st.sampled_from(
            [{"type": "any"}, {"type": "none"}, {"type": "auto", "disable_parallel_tool_use": True}]
        ),
    ),
)

# OpenAI's format.
parts = texts | st.none() | st.lists(texts.map(lambda text: {"type": "text", "text": text}), max_size=3)
calls = st.builds(
    lambda i, n, a: {"id": i, "type": "function", "function": {"name": n, "arguments": orjson.dumps(a).decode()}},
    ids,
    names,
    json_objects,
)
results = st.fixed_dictionaries({"role": st.just("tool"), "tool_call_id": ids, "content": parts})


@st.composite
def calls_and_results(draw: st.DrawFn) -> list[Json]:
    """Draw a message with calls, then some of their results in any order, possibly around a message of another role."""
    drawn_calls = draw(st.lists(calls, min_size=1, max_size=3, unique_by=lambda call: call["id"]))
    drawn_results: list[Json] = [
        {"role": "tool", "tool_call_id": call["id"], "content": draw(parts)}
        for call in drawn_calls
        if draw(st.integers(0, 3))
    ]
    between = draw(st.lists(assistant_messages, max_size=1))
    return [
        {"role": "assistant", "content": draw(parts), "tool_calls": drawn_calls},
        *draw(st.permutations(drawn_results + between)),
    ]


assistant_messages = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "developer", "user", "user", "assistant"]), "content": parts}
)
groups = st.lists(st.lists(assistant_messages, min_size=1, max_size=3) | calls_and_results(), min_size=1, max_size=4)
# Rarely, a result without a call.
orphan_results = st.sampled_from([0, 0, 0, 0, 1]).flatmap(
    lambda number: st.lists(results, min_size=number, max_size=number)
)
chat_messages = st.builds(
    lambda groups, orphans: [*(message for group in groups for message in group), *orphans], groups, orphan_results
)
chat_requests = st.builds(
    lambda required, optional: {**required, **optional},
    st.fixed_dictionaries({"model": models, "messages": chat_messages}),
    optional_fields(
        max_tokens=limits,
        max_completion_tokens=limits,
        temperature=st.none() | st.floats(0, 2),
        top_p=probabilities,
        top_k=st.integers(1, 9),
        stop=texts | st.lists(texts, max_size=2),
        reasoning_effort=st.sampled_from(["none", "minimal", "high", "max"]),
        tools=st.lists(names, max_size=2, unique=True).map(
            lambda tool_names: [{"type": "function", "function": {"name": name}} for name in tool_names]
        ),
        tool_choice=st.sampled_from(["auto", "none", "required"]),
        parallel_tool_calls=st.booleans(),
    ),
)


def to_upstream_request(job: ChatJob) -> Json:
    """Return the request that Claude Code sends for a job, as tests/e2e verify it."""
    job = sanitize_names(job, build_aliases(job.tools))
    body = upstream_body(job.params, job.model, job.turns)
    if job.system:
        body["system"] = [{"type": "text", "text": job.system}]
    if job.tools:
        body["tools"] = [{"name": tool.name, "input_schema": dict(tool.schema)} for tool in job.tools]
    assert [turn.role for turn in job.turns] == ["user", "assistant"] * (len(job.turns) // 2) + ["user"]
    assert body["messages"][-1]["content"] == [encode_block(block) for block in job.turns[-1].blocks]
    return body


def find_texts(value: Any, key: str = "") -> Iterator[str]:
    """Yield every text of a request that is not blank."""
    match value:
        case dict():
            for name, inner in value.items():
                yield from find_texts(inner, name)
        case list():
            for inner in value:
                yield from find_texts(inner, key)
        case str() if key in ("text", "content", "system") and value.strip():
            yield value


def parse_or_reject(dialect: DialectAdapter, request: Json) -> ChatJob | None:
    """Return the job, or None if the request is rejected with its field path."""
    try:
        return dialect.parse(request).job
    except ApiError as error:
        if error.status != 400 or not error.param:
            raise
        return None


def check_request(dialect: DialectAdapter, request: Json) -> None:
    job = parse_or_reject(dialect, request)
    if job is None:
        return
    body = to_upstream_request(job)
    assert first_problem(body) is None
    upstream_text = "\n".join(find_texts(body))
    assert [text for text in find_texts(request) if text not in upstream_text] == []


@pytest.mark.promise("messages.odd-but-legal")
@given(anthropic_requests)
def test_accepted_messages_request_is_valid_upstream_and_keeps_all_texts(request: Json) -> None:
    check_request(Anthropic(), request)


@pytest.mark.promise("messages.odd-but-legal")
@given(chat_requests)
def test_accepted_chat_request_is_valid_upstream_and_keeps_all_texts(request: Json) -> None:
    check_request(OpenAIChat(), request)
