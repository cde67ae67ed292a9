"""Scripted replies of the fake Anthropic API."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gateway.devtools.fake_anthropic.message import build_message, stream_steps, stream_steps_until_fault
from claude_gateway.devtools.fake_anthropic.script import (
    STAGES,
    Script,
    ScriptedToolCall,
    last_user_text,
    parse_script,
)


def create_request(text: str) -> dict[str, Any]:
    return {"model": "claude-test", "messages": [{"role": "user", "content": text}]}


@given(st.text().filter(lambda text: text.strip() and "{{" not in text))
def test_echoes_without_a_directive(text: str) -> None:
    assert parse_script(create_request(text)).text == text.strip()


def test_echo_omits_the_directives() -> None:
    assert parse_script(create_request("Hello {{pace 0.5}}there")).text == "Hello there"


def test_replies_even_to_empty_text() -> None:
    assert parse_script(create_request("{{pace 0}}")).text


def test_splits_echo_into_words() -> None:
    assert parse_script(create_request("one two  three")).deltas == ("one ", "two  ", "three")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{say Hi you}}", {"text": "Hi you"}),
        ("{{deltas 3}}", {"deltas": ("w0 ", "w1 ", "w2 ")}),
        ("{{big 5}}", {"text": "xxxxx"}),
        ("{{think Hm.}}", {"thinking": "Hm."}),
        ("{{delay 1.5}}", {"delay_seconds": 1.5}),
        ("{{silence 2}}", {"silence_seconds": 2.0}),
        ("{{pace 0.1}}", {"pace_seconds": 0.1}),
        ("{{status 529}}", {"status": 529, "retry_after": ""}),
        ("{{status 429 retry-after=7}}", {"status": 429, "retry_after": "7"}),
        ("{{drop 2}}{{times 1}}", {"disconnect_after": 2, "fault_count": 1}),
        ("{{break 0}}", {"error_after": 0}),
        ("{{hang}}", {"hang": True}),
        ("{{stop max_tokens}}", {"stop_reason": "max_tokens"}),
        ("{{usage input=7 cache_read=100}}", {"usage": {"input": 7, "cache_read": 100}}),
        ('{{tool a {"x": {"y": 1}}}}', {"tool_calls": (ScriptedToolCall("a", {"x": {"y": 1}}),)}),
        ("{{tool a}}{{tool b}}", {"tool_calls": (ScriptedToolCall("a", {}), ScriptedToolCall("b", {}))}),
    ],
)
def test_directive_sets_its_field_of_the_script(text: str, expected: dict[str, Any]) -> None:
    script = parse_script(create_request(text))

    assert {name: getattr(script, name) for name in expected} == expected


@pytest.mark.parametrize("text", ["{{dance}}", "{{deltas many}}", "{{tool a [}}", "{{usage input}}"])
def test_invalid_directive_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_script(create_request(text))


def test_only_the_newest_user_text_is_read_for_directives() -> None:
    messages = [
        {"role": "user", "content": "{{say old}}"},
        {"role": "assistant", "content": "{{say mine}}"},
        {"role": "user", "content": [{"type": "text", "text": "a caveat"}, {"type": "text", "text": "new"}]},
        {"role": "system", "content": "{{say last}}"},
    ]

    assert parse_script({"messages": messages}).text == "new"


def test_counts_tool_results_without_text() -> None:
    results = [{"type": "tool_result", "tool_use_id": name, "content": "x"} for name in "ab"]

    assert last_user_text({"messages": [{"role": "user", "content": results}]}) == "2 tool result(s)"


def test_message_contains_thinking_text_and_tools_in_this_order() -> None:
    script = Script(
        deltas=("Hel", "lo"),
        thinking="Hm.",
        redacted_thinking="c2Vhcw==",
        tool_calls=(ScriptedToolCall("a", {"x": 1}),),
    )

    message = build_message(create_request("hi"), script)

    assert [block["type"] for block in message["content"]] == ["thinking", "redacted_thinking", "text", "tool_use"]
    assert message["content"][2]["text"] == "Hello"
    assert message["stop_reason"] == "tool_use"


@pytest.mark.parametrize(
    ("newest", "expected_text"),
    [("that is wrong", "then"), ("{{say mine}}", "mine"), ("{{again later}}never", "never")],
)
def test_again_directive_applies_to_the_next_turn(newest: str, expected_text: str) -> None:
    first = {"role": "user", "content": "{{say now}}{{again then}}"}
    reply = {"role": "assistant", "content": "now"}

    assert parse_script({"messages": [first]}).text == "now"
    assert parse_script({"messages": [first, reply, {"role": "user", "content": newest}]}).text == expected_text
    assert parse_script({"messages": [first, reply, {"role": "user", "content": "x"}, reply, first]}).text == "now"


def build_content(text: str) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = build_message(create_request(text), parse_script(create_request(text)))["content"]
    return blocks


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("{{empty}}", []),
        ("{{think hm}}{{empty}}", ["thinking"]),
        ("{{empty}}{{redact c2Vhcw==}}", ["redacted_thinking"]),
        ("{{tool a}}{{empty}}", ["tool_use"]),
    ],
)
def test_empty_reply_has_no_text_block(text: str, kinds: list[str]) -> None:
    assert [block["type"] for block in build_content(text)] == kinds


@pytest.mark.parametrize(
    ("text", "expected"), [("{{blank}}", "\n\n"), (r'{{blank " \t\u2003"}}', " \t\u2003"), ('{{blank ""}}', "")]
)
def test_blank_reply_is_only_whitespace(text: str, expected: str) -> None:
    assert build_content(text) == [{"type": "text", "text": expected}]


def test_json_texts_may_contain_lone_surrogates() -> None:
    script = parse_script(create_request(r'{{say_json "a \ud83d b"}}{{think_json ["\ud83d", "\ude00"]}}'))

    assert script.text == "a \ud83d b"
    assert script.thinking_deltas == ("\ud83d", "\ude00")


def test_each_text_of_a_list_is_one_delta() -> None:
    assert parse_script(create_request('{{say_json ["a b", " c"]}}')).deltas == ("a b", " c")


def test_empty_reply_may_follow_tool_results() -> None:
    question = create_request("{{tool a}}{{then}}{{empty}}")
    call = {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "a", "input": {}}]}
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "ok"}]}

    assert not parse_script(question).omit_text
    assert parse_script({**question, "messages": [*question["messages"], call, result]}).omit_text


@pytest.mark.parametrize(
    ("directive", "call"),
    [
        (
            '{{tool a {"n": 123456789012345678901234567890}}}',
            ScriptedToolCall("a", {"n": 123456789012345678901234567890}),
        ),
        (r'{{tool a {"x": "\ud83d"}}}', ScriptedToolCall("a", {"x": "\ud83d"})),
        ('{{tool_raw a {"x": 1.0}}}', ScriptedToolCall("a", {"x": 1.0}, ('{"x": 1.0}',))),
        ('{{tool_raw a {"x": }}', ScriptedToolCall("a", {}, ('{"x": ',))),
        (r'{{tool_raw a ["{\"x\"", ":1}"]}}', ScriptedToolCall("a", {"x": 1}, ('{"x"', ":1}"))),
    ],
)
def test_call_arguments_stay_as_written(directive: str, call: ScriptedToolCall) -> None:
    assert parse_script(create_request(directive)).tool_calls == (call,)


@pytest.mark.parametrize("text", ["{{cut nowhere}}", "{{say_json [1]}}", "{{say_json}}", '{{blank "}}'])
def test_directive_with_invalid_json_or_stage_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_script(create_request(text))


@given(st.sampled_from(STAGES), st.sampled_from(["cut", "end", "error"]))
def test_stream_ends_at_the_scripted_stage(stage: str, how: str) -> None:
    text = f"{{{{{how} {stage}}}}}{{{{think hm}}}}{{{{tool a}}}} word"
    script = parse_script(create_request(text))

    stages = [step.stage for step in stream_steps_until_fault(build_message(create_request(text), script), script)]

    *before, last = ["nothing", *stages]
    assert (before[-1], last) == (stage, "broken" if how == "cut" else "ended")
    assert [step for step in dict.fromkeys(before) if step] == list(STAGES[: STAGES.index(stage) + 1])


def test_small_deltas_add_up_to_thinking_and_arguments() -> None:
    text = '{{fine}}{{think a long thought in several pieces}}{{tool a {"x": "a long argument in several pieces"}}}'
    script = parse_script(create_request(text))

    delta_steps = [
        step
        for step in stream_steps(build_message(create_request(text), script), script)
        if step.stage in ("thought", "call")
    ]

    deltas = [orjson.loads(step.data.split(b"data: ")[1])["delta"] for step in delta_steps]
    assert len(deltas) > 4
    assert all(step.is_delta for step in delta_steps)
    assert "".join(delta.get("thinking", "") for delta in deltas) == "a long thought in several pieces"
    assert "".join(delta.get("partial_json", "") for delta in deltas) == '{"x":"a long argument in several pieces"}'
