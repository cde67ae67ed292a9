"""What the stand-in answers to which words."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gateway.demo.message import whole_message
from claude_gateway.demo.script import Script, ToolCall, last_user_text, plan


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
