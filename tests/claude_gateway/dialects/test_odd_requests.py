"""Whatever callers send, odd or broken: it is named in a 4xx, or the real API would take what becomes of it."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gateway.demo.refusals import refusal
from claude_gateway.demo.thoughts import sign
from claude_gateway.errors import ApiError
from tests.claude_gateway.dialects.anthropic import Anthropic
from tests.claude_gateway.dialects.anything import json_objects
from tests.claude_gateway.dialects.face import Dialect, Json
from tests.claude_gateway.dialects.jobs import MODELS, PIXEL
from tests.claude_gateway.dialects.openai_chat import OpenAIChat
from tests.workers.test_tuning import upstream_body
from workers.aliases import inward
from workers.job import ChatJob
from workers.protocol import block_frame

models = st.sampled_from([*MODELS, "claude-opus-4-5-20250929", "claude-opus-4-7", "claude-of-tomorrow"])
# Each text that is not blank is told from every other, so that none can be lost unseen.
texts = st.sampled_from(["", " ", "\n\t"]) | st.uuids().map(str)
ids = st.sampled_from(["call_0", "call_1", "call:2/odd", "call_0_1", ""])
names = st.sampled_from(["weather", "a.b", "ToolSearch", "x" * 150])
limits = st.none() | st.integers(1, 5_000)
odds = st.none() | st.floats(0, 1)
THINKING = ({"type": "adaptive"}, {"type": "disabled"})
ONE_BY_ONE = {"type": "auto", "disable_parallel_tool_use": True}


def optional(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    return st.fixed_dictionaries({}, optional=fields)


# Anthropic's words.
text_blocks = texts.map(lambda text: {"type": "text", "text": text})
image_blocks = st.just({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}})
call_blocks = st.builds(lambda i, n, a: {"type": "tool_use", "id": i, "name": n, "input": a}, ids, names, json_objects)
thought_blocks = st.sampled_from(
    [
        {"type": "thinking", "thinking": "hm", "signature": sign("hm")},
        {"type": "thinking", "thinking": "another's", "signature": ""},
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
    """Thoughts, texts and calls in any order; then some of the results, in any order, between other blocks."""
    made = draw(st.lists(call_blocks, min_size=1, max_size=3, unique_by=lambda call: call["id"]))
    others = draw(st.lists(text_blocks | thought_blocks, max_size=3))
    answered = [draw(result_block(call["id"])) for call in made if draw(st.integers(0, 3))]
    more = draw(st.lists(text_blocks | image_blocks, max_size=2))
    return [
        {"role": "assistant", "content": draw(st.permutations(made + others))},
        {"role": "user", "content": draw(st.permutations(answered + more))},
    ]


alone = (
    message("user", blocks=text_blocks | image_blocks)
    | message("assistant", blocks=text_blocks | thought_blocks)
    | message("system", blocks=text_blocks)
    | message("user", blocks=ids.flatmap(result_block))
)
messages = st.lists(st.lists(alone, min_size=1, max_size=3) | calls_with_results(), min_size=1, max_size=4).map(
    lambda groups: [one for group in groups for one in group]
)
anthropic_requests = st.builds(
    lambda required, more: {**required, **more},
    st.fixed_dictionaries({"model": models, "messages": messages}),
    optional(
        system=texts | st.lists(text_blocks, max_size=2),
        max_tokens=limits,
        temperature=odds,
        top_p=odds,
        top_k=st.integers(1, 9),
        stop_sequences=st.lists(texts, max_size=2),
        thinking=st.sampled_from(
            [{"type": "enabled", "budget_tokens": 3_000}, {"type": "adaptive"}, {"type": "disabled"}]
        ),
        output_config=st.sampled_from([{"effort": "max"}, {"effort": "low"}, {}]),
        tools=st.lists(names, max_size=2, unique=True).map(
            lambda found: [{"name": name, "input_schema": {"type": "object"}} for name in found]
        ),
        tool_choice=st.sampled_from(
            [{"type": "any"}, {"type": "none"}, {"type": "auto", "disable_parallel_tool_use": True}]
        ),
    ),
)

# OpenAI's words.
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
    """A message with calls, then some of their results in any order, a message of another role between them perhaps."""
    made = draw(st.lists(calls, min_size=1, max_size=3, unique_by=lambda call: call["id"]))
    answered: list[Json] = [
        {"role": "tool", "tool_call_id": call["id"], "content": draw(parts)} for call in made if draw(st.integers(0, 3))
    ]
    between = draw(st.lists(spoken, max_size=1))
    return [
        {"role": "assistant", "content": draw(parts), "tool_calls": made},
        *draw(st.permutations(answered + between)),
    ]


spoken = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "developer", "user", "user", "assistant"]), "content": parts}
)
groups = st.lists(st.lists(spoken, min_size=1, max_size=3) | calls_and_results(), min_size=1, max_size=4)
# Seldom, a result of no call.
stray = st.sampled_from([0, 0, 0, 0, 1]).flatmap(lambda number: st.lists(results, min_size=number, max_size=number))
chat_messages = st.builds(lambda found, last: [*(one for group in found for one in group), *last], groups, stray)
chat_requests = st.builds(
    lambda required, more: {**required, **more},
    st.fixed_dictionaries({"model": models, "messages": chat_messages}),
    optional(
        max_tokens=limits,
        max_completion_tokens=limits,
        temperature=st.none() | st.floats(0, 2),
        top_p=odds,
        top_k=st.integers(1, 9),
        stop=texts | st.lists(texts, max_size=2),
        reasoning_effort=st.sampled_from(["none", "minimal", "high", "max"]),
        tools=st.lists(names, max_size=2, unique=True).map(
            lambda found: [{"type": "function", "function": {"name": name}} for name in found]
        ),
        tool_choice=st.sampled_from(["auto", "none", "required"]),
        parallel_tool_calls=st.booleans(),
    ),
)


def as_the_upstream_sees_it(job: ChatJob) -> Json:
    """The request that Claude Code makes of a job (tests/e2e: test_messages, test_tools, test_parameters)."""
    job = inward(job)
    body = upstream_body(job.tuning, job.model, job.turns)
    if job.system:
        body["system"] = [{"type": "text", "text": job.system}]
    if job.tools:
        body["tools"] = [{"name": tool.name, "input_schema": dict(tool.schema)} for tool in job.tools]
    assert [turn.role for turn in job.turns] == ["user", "assistant"] * (len(job.turns) // 2) + ["user"]
    assert body["messages"][-1]["content"] == [block_frame(block) for block in job.turns[-1].blocks]
    return body


def said(value: Any, key: str = "") -> Iterator[str]:
    """Every text of a request that says something."""
    match value:
        case dict():
            for name, inner in value.items():
                yield from said(inner, name)
        case list():
            for inner in value:
                yield from said(inner, key)
        case str() if key in ("text", "content", "system") and value.strip():
            yield value


def taken(dialect: Dialect, request: Json) -> ChatJob | None:
    """The job, or None where the request is refused with its place."""
    try:
        return dialect.parse(request).job
    except ApiError as error:
        if error.status != 400 or not error.param:
            raise
        return None


def check(dialect: Dialect, request: Json) -> None:
    job = taken(dialect, request)
    if job is None:
        return
    body = as_the_upstream_sees_it(job)
    assert refusal(body) is None
    there = "\n".join(said(body))
    assert [text for text in said(request) if text not in there] == []


@pytest.mark.promise("messages.odd-but-legal")
@given(anthropic_requests)
def test_no_messages_request_that_is_taken_is_refused_upstream_and_no_text_of_it_is_lost(request: Json) -> None:
    check(Anthropic(), request)


@pytest.mark.promise("messages.odd-but-legal")
@given(chat_requests)
def test_no_chat_request_that_is_taken_is_refused_upstream_and_no_text_of_it_is_lost(request: Json) -> None:
    check(OpenAIChat(), request)
