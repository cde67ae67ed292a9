"""What the stand-in answers to which words."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gateway.demo.message import steps, until_fault, whole_message
from claude_gateway.demo.script import STAGES, Script, ToolCall, last_user_text, plan


def ask(text: str) -> dict[str, Any]:
    return {"model": "claude-test", "messages": [{"role": "user", "content": text}]}


@given(st.text().filter(lambda text: text.strip() and "{{" not in text))
def test_without_a_directive_it_echoes(text: str) -> None:
    assert plan(ask(text)).text == text.strip()


def test_the_echo_leaves_out_the_directives() -> None:
    assert plan(ask("Hello {{pace 0.5}}there")).text == "Hello there"


def test_it_has_something_to_say_even_to_nothing() -> None:
    assert plan(ask("{{pace 0}}")).text


def test_an_echo_is_cut_into_words() -> None:
    assert plan(ask("one two  three")).deltas == ("one ", "two  ", "three")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{say Hi you}}", {"text": "Hi you"}),
        ("{{deltas 3}}", {"deltas": ("w0 ", "w1 ", "w2 ")}),
        ("{{big 5}}", {"text": "xxxxx"}),
        ("{{think Hm.}}", {"thinking": "Hm."}),
        ("{{delay 1.5}}", {"delay": 1.5}),
        ("{{silence 2}}", {"silence": 2.0}),
        ("{{pace 0.1}}", {"pace": 0.1}),
        ("{{status 529}}", {"status": 529, "retry_after": ""}),
        ("{{status 429 retry-after=7}}", {"status": 429, "retry_after": "7"}),
        ("{{drop 2}}{{times 1}}", {"drop": 2, "times": 1}),
        ("{{break 0}}", {"broken": 0}),
        ("{{hang}}", {"hang": True}),
        ("{{stop max_tokens}}", {"stop_reason": "max_tokens"}),
        ("{{usage input=7 cache_read=100}}", {"usage": {"input": 7, "cache_read": 100}}),
        ('{{tool a {"x": {"y": 1}}}}', {"tools": (ToolCall("a", {"x": {"y": 1}}),)}),
        ("{{tool a}}{{tool b}}", {"tools": (ToolCall("a", {}), ToolCall("b", {}))}),
    ],
)
def test_a_directive_sets_its_part_of_the_script(text: str, expected: dict[str, Any]) -> None:
    script = plan(ask(text))

    assert {name: getattr(script, name) for name in expected} == expected


@pytest.mark.parametrize("text", ["{{dance}}", "{{deltas many}}", "{{tool a [}}", "{{usage input}}"])
def test_a_directive_that_cannot_be_read_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        plan(ask(text))


def test_only_the_newest_user_text_directs() -> None:
    messages = [
        {"role": "user", "content": "{{say old}}"},
        {"role": "assistant", "content": "{{say mine}}"},
        {"role": "user", "content": [{"type": "text", "text": "a caveat"}, {"type": "text", "text": "new"}]},
        {"role": "system", "content": "{{say last}}"},
    ]

    assert plan({"messages": messages}).text == "new"


def test_tool_results_without_a_text_are_counted() -> None:
    results = [{"type": "tool_result", "tool_use_id": name, "content": "x"} for name in "ab"]

    assert last_user_text({"messages": [{"role": "user", "content": results}]}) == "2 tool result(s)"


def test_the_whole_message_holds_thinking_text_and_tools_in_that_order() -> None:
    script = Script(deltas=("Hel", "lo"), thinking="Hm.", redacted="c2Vhcw==", tools=(ToolCall("a", {"x": 1}),))

    message = whole_message(ask("hi"), script)

    assert [block["type"] for block in message["content"]] == ["thinking", "redacted_thinking", "text", "tool_use"]
    assert message["content"][2]["text"] == "Hello"
    assert message["stop_reason"] == "tool_use"


@pytest.mark.parametrize(
    ("newest", "answer"),
    [("that is wrong", "then"), ("{{say mine}}", "mine"), ("{{again later}}never", "never")],
)
def test_what_is_to_be_said_again_comes_one_turn_later(newest: str, answer: str) -> None:
    first = {"role": "user", "content": "{{say now}}{{again then}}"}
    told = {"role": "assistant", "content": "now"}

    assert plan({"messages": [first]}).text == "now"
    assert plan({"messages": [first, told, {"role": "user", "content": newest}]}).text == answer
    assert plan({"messages": [first, told, {"role": "user", "content": "x"}, told, first]}).text == "now"


def content(text: str) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = whole_message(ask(text), plan(ask(text)))["content"]
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
def test_empty_answer_has_no_text_block(text: str, kinds: list[str]) -> None:
    assert [block["type"] for block in content(text)] == kinds


@pytest.mark.parametrize(
    ("text", "expected"), [("{{blank}}", "\n\n"), (r'{{blank " \t\u2003"}}', " \t\u2003"), ('{{blank ""}}', "")]
)
def test_blank_answer_is_white_space_alone(text: str, expected: str) -> None:
    assert content(text) == [{"type": "text", "text": expected}]


def test_json_texts_may_hold_half_a_surrogate_pair() -> None:
    script = plan(ask(r'{{say_json "a \ud83d b"}}{{think_json ["\ud83d", "\ude00"]}}'))

    assert script.text == "a \ud83d b"
    assert script.thinking_deltas == ("\ud83d", "\ude00")


def test_text_pieces_of_a_list_are_one_delta_each() -> None:
    assert plan(ask('{{say_json ["a b", " c"]}}')).deltas == ("a b", " c")


def test_empty_answer_may_follow_tool_results() -> None:
    question = ask("{{tool a}}{{then}}{{empty}}")
    call = {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "a", "input": {}}]}
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "ok"}]}

    assert not plan(question).wordless
    assert plan({**question, "messages": [*question["messages"], call, result]}).wordless


@pytest.mark.parametrize(
    ("directive", "call"),
    [
        ('{{tool a {"n": 123456789012345678901234567890}}}', ToolCall("a", {"n": 123456789012345678901234567890})),
        (r'{{tool a {"x": "\ud83d"}}}', ToolCall("a", {"x": "\ud83d"})),
        ('{{tool_raw a {"x": 1.0}}}', ToolCall("a", {"x": 1.0}, ('{"x": 1.0}',))),
        ('{{tool_raw a {"x": }}', ToolCall("a", {}, ('{"x": ',))),
        (r'{{tool_raw a ["{\"x\"", ":1}"]}}', ToolCall("a", {"x": 1}, ('{"x"', ":1}"))),
    ],
)
def test_arguments_of_a_call_stay_as_written(directive: str, call: ToolCall) -> None:
    assert plan(ask(directive)).tools == (call,)


@pytest.mark.parametrize("text", ["{{cut nowhere}}", "{{say_json [1]}}", "{{say_json}}", '{{blank "}}'])
def test_directive_with_wrong_json_or_stage_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        plan(ask(text))


@given(st.sampled_from(STAGES), st.sampled_from(["cut", "end", "error"]))
def test_stream_ends_at_the_scripted_stage(stage: str, how: str) -> None:
    text = f"{{{{{how} {stage}}}}}{{{{think hm}}}}{{{{tool a}}}} word"
    script = plan(ask(text))

    stages = [step.stage for step in until_fault(whole_message(ask(text), script), script)]

    *before, last = ["nothing", *stages]
    assert (before[-1], last) == (stage, "broken" if how == "cut" else "ended")
    assert [step for step in dict.fromkeys(before) if step] == list(STAGES[: STAGES.index(stage) + 1])


def test_small_deltas_add_up_to_the_thought_and_the_arguments() -> None:
    text = '{{fine}}{{think a long thought in several pieces}}{{tool a {"x": "a long argument in several pieces"}}}'
    script = plan(ask(text))

    pieces = [step for step in steps(whole_message(ask(text), script), script) if step.stage in ("thought", "call")]

    deltas = [orjson.loads(step.data.split(b"data: ")[1])["delta"] for step in pieces]
    assert len(pieces) > 4
    assert all(step.is_delta for step in pieces)
    assert "".join(delta.get("thinking", "") for delta in deltas) == "a long thought in several pieces"
    assert "".join(delta.get("partial_json", "") for delta in deltas) == '{"x":"a long argument in several pieces"}'
