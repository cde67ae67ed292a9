"""Requests that the real API rejects, each beside a similar one that it accepts."""

from typing import Any

import pytest

from claude_gateway.devtools.fake_anthropic.thinking_signature import compute_thinking_signature
from claude_gateway.devtools.fake_anthropic.validation import first_problem, rejects_sampling

OLD_MODEL = "claude-opus-4-20250514"
MIDDLE_MODEL = "claude-sonnet-4-5-20250929"
ADAPTIVE = "claude-opus-4-6"
NEW_MODEL = "claude-opus-5"
USER = {"role": "user", "content": "hi"}
GOOD: dict[str, Any] = {"model": MIDDLE_MODEL, "max_tokens": 4_096, "messages": [USER]}
THINKING = {"thinking": {"type": "enabled", "budget_tokens": 2_048}}
CALL: dict[str, Any] = {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "f", "input": {}}]}
THINKING_MESSAGE: dict[str, Any] = {
    "role": "assistant",
    "content": [
        {"type": "thinking", "thinking": "hm", "signature": compute_thinking_signature("hm")},
        *CALL["content"],
    ],
}
RESULT = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "ok"}]}


def text_block(content: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": content, **more}


def marked_texts(count: int) -> list[dict[str, Any]]:
    return [text_block("x", cache_control={"type": "ephemeral"}) for _ in range(count)]


def assistant_message(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(blocks)}]}


LEADING_MESSAGES = "iVBORw0KGgoA"
END = "AAAASUVORK5CYII="
PNG = LEADING_MESSAGES + END


def image_block(kind: str, data: str = PNG) -> dict[str, Any]:
    return {"type": "image", "source": {"type": "base64", "media_type": kind, "data": data}}


def pdf_block(data: str) -> dict[str, Any]:
    return {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": data}}


def result_message(*content: dict[str, Any], **more: Any) -> dict[str, Any]:
    result = {"type": "tool_result", "tool_use_id": "t1", "content": list(content), **more}
    return {"messages": [USER, CALL, {"role": "user", "content": [result]}]}


def error_result(*content: dict[str, Any]) -> dict[str, Any]:
    return result_message(*content, is_error=True)


# The rejected request, a similar valid one, and a part of the error message.
PAIRS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "max_tokens within the budget": (
        {**THINKING, "max_tokens": 2_048},
        {**THINKING, "max_tokens": 2_049},
        "budget_tokens",
    ),
    "a budget under 1,024": (
        {"thinking": {"type": "enabled", "budget_tokens": 1_023}},
        {"thinking": {"type": "enabled", "budget_tokens": 1_024}},
        "1024",
    ),
    "temperature while thinking": (
        {**THINKING, "temperature": 0.5},
        {**THINKING, "temperature": 1},
        "temperature",
    ),
    "temperature while thinking adaptively": (
        {"thinking": {"type": "adaptive"}, "temperature": 0.5, "model": ADAPTIVE},
        {"thinking": {"type": "disabled"}, "temperature": 0.5, "model": ADAPTIVE},
        "temperature",
    ),
    "top_k while thinking": ({**THINKING, "top_k": 5}, {"top_k": 5}, "top_k"),
    "a forced tool while thinking": (
        {**THINKING, "tool_choice": {"type": "tool", "name": "f"}},
        {**THINKING, "tool_choice": {"type": "auto"}},
        "tool_choice",
    ),
    "any tool while thinking": (
        {**THINKING, "tool_choice": {"type": "any"}},
        {"tool_choice": {"type": "any"}},
        "tool_choice",
    ),
    "adaptive thinking before 4.6": (
        {"thinking": {"type": "adaptive"}},
        {"thinking": {"type": "adaptive"}, "model": ADAPTIVE},
        "adaptive",
    ),
    "a budget from 4.7 on": (
        {**THINKING, "model": NEW_MODEL},
        {"thinking": {"type": "adaptive"}, "model": NEW_MODEL},
        "enabled",
    ),
    "a tool result after a call without thinking": (
        {**THINKING, "messages": [USER, CALL, RESULT]},
        {**THINKING, "messages": [USER, THINKING_MESSAGE, RESULT]},
        "Expected `thinking`",
    ),
    "effort before 4.5": (
        {"output_config": {"effort": "low"}},
        {"output_config": {"effort": "low"}, "model": "claude-opus-4-5-20250929"},
        "effort",
    ),
    "the highest effort before 4.6": (
        {"output_config": {"effort": "max"}, "model": "claude-opus-4-5-20250929"},
        {"output_config": {"effort": "max"}, "model": ADAPTIVE},
        "max",
    ),
    "the second highest effort before 4.7": (
        {"output_config": {"effort": "xhigh"}, "model": ADAPTIVE},
        {"output_config": {"effort": "xhigh"}, "model": "claude-opus-4-7"},
        "xhigh",
    ),
    "both samplers from 4.1 on": (
        {"temperature": 0.5, "top_p": 0.5},
        {"temperature": 0.5, "top_p": 0.5, "model": OLD_MODEL},
        "both",
    ),
    "a sampler on the newest": ({"top_p": 0.5, "model": NEW_MODEL}, {"model": NEW_MODEL}, "not supported"),
    "temperature over 1": ({"temperature": 1.1}, {"temperature": 1}, "temperature"),
    "temperature under 0": ({"temperature": -0.1}, {"temperature": 0}, "temperature"),
    "a tool name with a dot": (
        {"tools": [{"name": "a.b", "input_schema": {"type": "object"}}]},
        {"tools": [{"name": "a_b-C", "input_schema": {"type": "object"}}]},
        "a.b",
    ),
    "a tool name of 129 letters": ({"tools": [{"name": "x" * 129}]}, {"tools": [{"name": "x" * 128}]}, "tools"),
    "an empty text": (assistant_message(text_block("")), assistant_message(text_block("x")), "non-empty"),
    "a blank text": (
        assistant_message(text_block("x"), text_block(" \n")),
        assistant_message(text_block("x"), text_block(" .")),
        "non-empty",
    ),
    "a blank message": ({"messages": [{"role": "user", "content": " "}]}, {}, "non-empty"),
    "a blank system block": ({"system": [text_block(" ")]}, {"system": [text_block("x")]}, "system"),
    "a first message of the assistant": (
        {"messages": [{"role": "assistant", "content": "hi"}, USER]},
        {"messages": [USER, {"role": "assistant", "content": "hi"}, USER]},
        "first message",
    ),
    "a call without its result": ({"messages": [USER, CALL, USER]}, {"messages": [USER, CALL, RESULT]}, "t1"),
    "a call at the end": ({"messages": [USER, CALL]}, {"messages": [USER, CALL, RESULT]}, "t1"),
    "a result that comes too late": (
        {"messages": [USER, CALL, USER, RESULT]},
        {"messages": [USER, CALL, RESULT, USER]},
        "t1",
    ),
    "a result without its call": ({"messages": [USER, RESULT]}, {"messages": [USER, CALL, RESULT]}, "t1"),
    "thinking without its signature": (
        {
            "messages": [
                USER,
                {"role": "assistant", "content": [{**THINKING_MESSAGE["content"][0], "signature": ""}]},
                USER,
            ]
        },
        {"messages": [USER, {"role": "assistant", "content": THINKING_MESSAGE["content"][:1]}, USER]},
        "signature",
    ),
    "an id used twice": (
        {"messages": [USER, CALL, RESULT, CALL, RESULT]},
        {"messages": [USER, CALL, RESULT, USER]},
        "unique",
    ),
    "an id with a colon": (
        {"messages": [USER, {"role": "assistant", "content": [{**CALL["content"][0], "id": "t:1"}]}, USER]},
        {"messages": [USER, CALL, RESULT]},
        "pattern",
    ),
    "a schema that is none": (
        {"tools": [{"name": "f", "input_schema": {"type": "object", "required": "city"}}]},
        {"tools": [{"name": "f", "input_schema": {"type": "object", "required": ["city"]}}]},
        "input_schema",
    ),
    "a union at the root of a tool's schema": (
        {"tools": [{"name": "f", "input_schema": {"type": "object", "anyOf": [{"required": ["a"]}]}}]},
        {"tools": [{"name": "f", "input_schema": {"type": "object", "properties": {"a": {"anyOf": [{}]}}}}]},
        "top level",
    ),
    "a property's name": (
        {"tools": [{"name": "f", "input_schema": {"type": "object", "properties": {"filter[id]": {}}}}]},
        {"tools": [{"name": "f", "input_schema": {"type": "object", "properties": {"filter.id": {}}}}]},
        "Property keys",
    ),
    "a schema of something else": (
        {"tools": [{"name": "f", "input_schema": {"type": "array"}}]},
        {"tools": [{"name": "f", "input_schema": {"type": "object"}}]},
        "input_schema",
    ),
    "a message without content": (
        {"messages": [{"role": "user", "content": []}]},
        {},
        "non-empty content",
    ),
    "five cache marks": (assistant_message(*marked_texts(5)), assistant_message(*marked_texts(4)), "cache_control"),
    "five cache marks in all places": (
        {"system": marked_texts(1), **assistant_message(*marked_texts(4))},
        {"system": marked_texts(1), **assistant_message(*marked_texts(3))},
        "cache_control",
    ),
    "an image of another type": (
        assistant_message(image_block("image/jpeg")),
        assistant_message(image_block("image/png")),
        "does not match",
    ),
    "an image of no type": (
        assistant_message(image_block("image/bmp")),
        assistant_message(image_block("image/png")),
        "media_type",
    ),
    "an image that is no base64": (
        assistant_message(image_block("image/png", "a-b_")),
        assistant_message(image_block("image/png")),
        "base64",
    ),
    "an image over 5 MiB": (
        assistant_message(image_block("image/png", LEADING_MESSAGES + "A" * (5 * 1024 * 1024 + 4 - len(PNG)) + END)),
        assistant_message(image_block("image/png", LEADING_MESSAGES + "A" * (5 * 1024 * 1024 - len(PNG)) + END)),
        "5 MB",
    ),
    "an image cut short": (
        assistant_message(image_block("image/png", LEADING_MESSAGES)),
        assistant_message(image_block("image/png")),
        "process",
    ),
    "an image in a result": (
        result_message(image_block("image/gif")),
        result_message(image_block("image/png")),
        "does not match",
    ),
    "a PDF that is none": (assistant_message(pdf_block("AAAA")), assistant_message(pdf_block("JVBERi0xLjQ=")), "PDF"),
    "an error without a word": (error_result(), error_result(text_block("no")), "empty"),
    "an error with an image": (
        error_result(text_block("no"), image_block("image/png")),
        result_message(image_block("image/png")),
        "is_error",
    ),
    "no messages": ({"messages": []}, {}, "messages"),
    "no output": ({"max_tokens": 0}, {"max_tokens": 1}, "max_tokens"),
}


@pytest.mark.parametrize("name", PAIRS)
def test_rejects_invalid_request(name: str) -> None:
    rejected, _, word = PAIRS[name]

    assert word in (first_problem({**GOOD, **rejected}) or "")


@pytest.mark.parametrize("name", PAIRS)
def test_accepts_similar_valid_request(name: str) -> None:
    _, good, _ = PAIRS[name]

    assert first_problem({**GOOD, **good}) is None


def test_accepts_system_message_anywhere_among_the_messages() -> None:
    system = {"role": "system", "content": "<total_tokens>"}

    assert first_problem({**GOOD, "messages": [USER, CALL, RESULT, system]}) is None
    assert first_problem({**GOOD, "messages": [USER, system, CALL, system, RESULT]}) is None


@pytest.mark.parametrize(
    ("model", "none"),
    [
        (OLD_MODEL, False),
        (MIDDLE_MODEL, False),
        ("claude-opus-4-1-20250805", False),
        ("claude-3-5-sonnet-20241022", False),
        ("claude-opus-4-6", False),
        ("claude-opus-4-7", True),
        ("claude-opus-5", True),
        ("claude-sonnet-5-20260101", True),
        ("claude-haiku-10-2", True),
        ("another-model", False),
    ],
)
def test_models_from_4_7_on_reject_sampling_parameters(model: str, none: bool) -> None:
    assert rejects_sampling(model) is none
