"""Histories as programs keep them, in the words of every dialect: taken, put right, and said."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import pytest

from claude_gateway.errors import ApiError
from tests.claude_gateway.dialects.adapters import DIALECTS
from tests.claude_gateway.dialects.face import MODEL, Dialect, Json, Parsed
from workers.job import Text, ToolResult, ToolUse, Turn

BIG = 1234567890123456789
POEM = "Write one line of a poem."
GIVEN_UP = "The call was given up; there is no result."


@dataclass(frozen=True)
class Say:
    """A message of one side's."""

    role: str
    text: str


@dataclass(frozen=True)
class Call:
    """`arguments` is the value that stands in the request."""

    id: str
    name: str
    arguments: Any


@dataclass(frozen=True)
class Answer:
    id: str
    name: str
    text: str


History = Sequence[Say | Call | Answer]


def chat(history: History) -> Json:
    def message(one: Say | Call | Answer) -> Json:
        match one:
            case Say(role, text):
                return {"role": role, "content": text}
            case Call(id_, name, arguments):
                call = {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}
                return {"role": "assistant", "content": None, "tool_calls": [call]}
            case Answer(id_, _, text):
                return {"role": "tool", "tool_call_id": id_, "content": text}

    return {"model": MODEL, "messages": [message(one) for one in history]}


def responses(history: History) -> Json:
    def item(one: Say | Call | Answer) -> Json:
        match one:
            case Say(role, text):
                return {"role": role, "content": text}
            case Call(id_, name, arguments):
                return {
                    "type": "function_call",
                    "call_id": id_,
                    "name": name,
                    "arguments": arguments,
                    "status": "incomplete",
                }
            case Answer(id_, _, text):
                return {"type": "function_call_output", "call_id": id_, "output": text}

    return {"model": MODEL, "input": [item(one) for one in history]}


def messages(history: History) -> Json:
    def message(one: Say | Call | Answer) -> Json:
        match one:
            case Say(role, text):
                return {"role": role, "content": text}
            case Call(id_, name, arguments):
                block = {"type": "tool_use", "id": id_, "name": name, "input": arguments}
                return {"role": "assistant", "content": [block]}
            case Answer(id_, _, text):
                return {"role": "user", "content": [{"type": "tool_result", "tool_use_id": id_, "content": text}]}

    return {"model": MODEL, "max_tokens": 50, "messages": [message(one) for one in history]}


def gemini(history: History) -> Json:
    def content(one: Say | Call | Answer) -> Json:
        match one:
            case Say(role, text):
                return {"role": "user" if role == "user" else "model", "parts": [{"text": text}]}
            case Call(_, name, arguments):
                return {"role": "model", "parts": [{"functionCall": {"name": name, "args": arguments}}]}
            case Answer(_, name, text):
                response = {"functionResponse": {"name": name, "response": {"output": text}}}
                return {"role": "user", "parts": [response]}

    return {"contents": [content(one) for one in history]}


REQUESTS: dict[str, Callable[[History], Json]] = {
    "openai_chat": chat,
    "openai_responses": responses,
    "anthropic": messages,
    "gemini": gemini,
}
every_dialect = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
# Those whose arguments are the text of an object, and those whose arguments are one.
IN_TEXT = ("openai_chat", "openai_responses")


def parsed(dialect: Dialect, *history: Say | Call | Answer) -> Parsed:
    return dialect.parse(REQUESTS[dialect.name](history))


def arguments(dialect: Dialect, written: Any) -> tuple[Any, tuple[str, ...]]:
    """What the model reads of a call's arguments, and the warnings."""
    read = parsed(dialect, Say("user", "a"), Call("c1", "f", written), Answer("c1", "f", "cut"), Say("user", "go on"))
    (call,) = [block for block in read.job.turns[1].blocks if isinstance(block, ToolUse)]
    return call.input, read.warnings


@every_dialect
@pytest.mark.parametrize(
    ("written", "value"),
    [
        ('{"city": "Par', {"raw": '{"city": "Par'}),
        ("null", {}),
        (" ", {}),
        (None, {}),
        ("[]", {"raw": "[]"}),
        ([], {"raw": "[]"}),
        ([1, "a"], {"raw": '[1,"a"]'}),
        (5, {"raw": "5"}),
        ("{'city': 'Paris'}", {"raw": "{'city': 'Paris'}"}),
        ('{"city":"Paris"}</invoke>', {"raw": '{"city":"Paris"}</invoke>'}),
        ('{"city":"a\nb"}', {"city": "a\nb"}),
        ('{"city": NaN}', {"city": "NaN"}),
        ('{"city":"\\ud800"}', {"city": "\ufffd"}),
        ('{"city":"a","city":"b"}', {"city": "b"}),
        ('{"x":' * 300 + "1" + "}" * 300, {"raw": '{"x":' * 300 + "1" + "}" * 300}),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_takes_whatever_stands_for_the_arguments_of_a_call_and_says_so(
    dialect: Dialect, written: Any, value: Any
) -> None:
    read, (warning,) = arguments(dialect, written)

    assert read == value
    assert ("arguments" if dialect.name in IN_TEXT else "args" if dialect.name == "gemini" else "input") in warning


@every_dialect
def test_gives_an_object_that_is_nested_too_deep_to_be_passed_on_as_its_text(dialect: Dialect) -> None:
    deep: Any = 1
    for _ in range(300):
        deep = {"x": deep}

    read, (warning,) = arguments(dialect, deep)

    assert json.loads(read["raw"]) == deep
    assert "arg" in warning or "input" in warning


def test_takes_a_call_without_its_input() -> None:
    (dialect,) = [one for one in DIALECTS if one.name == "anthropic"]
    call = {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "f"}]}

    read = dialect.parse({"model": MODEL, "messages": [{"role": "user", "content": "a"}, call]})

    assert read.job.turns[1].blocks == (ToolUse("c1", "f", {}),)


@every_dialect
def test_takes_arguments_in_either_form_without_a_word(dialect: Dialect) -> None:
    for written in ({"city": "Paris"}, '{"city": "Paris"}'):
        assert arguments(dialect, written) == ({"city": "Paris"}, ())
    assert arguments(dialect, "") == ({}, ())


@every_dialect
def test_gives_an_integer_that_the_cli_would_round_as_its_digits_and_names_its_field(dialect: Dialect) -> None:
    value = {"user": BIG, "safe": 2**53, "list": [{"id": -BIG}]}
    for written in (value, orjson.dumps(value).decode()):
        read, (warning,) = arguments(dialect, written)

        assert read == {"user": str(BIG), "safe": 2**53, "list": [{"id": str(-BIG)}]}
        assert ".user" in warning
        assert ".list.0.id" in warning


@pytest.mark.parametrize("dialect", [one for one in DIALECTS if one.name in IN_TEXT], ids=lambda one: one.name)
def test_keeps_all_digits_of_an_integer_that_has_no_room_in_64_bits(dialect: Dialect) -> None:
    read, warnings = arguments(dialect, f'{{"user": {10**30}}}')

    assert read == {"user": str(10**30)}
    assert len(warnings) == 1


@every_dialect
def test_folds_two_equal_answers_to_one_call_and_joins_others(dialect: Dialect) -> None:
    asked = (Say("user", "weather?"), Call("c1", "f", {}))
    for second, texts in (("18C", ("18C",)), ("19C", ("18C", "19C"))):
        read = parsed(dialect, *asked, Answer("c1", "f", "18C"), Answer("c1", "f", second))

        (result,) = read.job.turns[2].blocks
        assert isinstance(result, ToolResult)
        assert result.content == tuple(map(Text, texts))
        assert len(read.warnings) == 1
        assert "'f'" in read.warnings[0]


@every_dialect
def test_gives_a_late_answer_as_text(dialect: Dialect) -> None:
    history = (Say("user", "a"), Call("c1", "f", {}), Say("user", "wait"), Say("assistant", "ok"))

    read = parsed(dialect, *history, Answer("c1", "f", "18C"), Say("user", "so?"))

    late, question = read.job.turns[4].blocks
    assert isinstance(late, Text)
    assert late.text.startswith("<tool_result ")
    assert "18C" in late.text
    assert question == Text("so?")
    assert [block.content for block in read.job.turns[2].blocks if isinstance(block, ToolResult)] == [(Text(GIVEN_UP),)]
    assert len(read.warnings) == 2


@every_dialect
def test_gives_an_answer_whose_call_is_not_there_as_text(dialect: Dialect) -> None:
    read = parsed(dialect, Answer("c1", "f", "18C"), Say("assistant", "It is 18 degrees."), Say("user", "and now?"))

    assert "18C" in read.job.turns[0].blocks[0].text  # type: ignore[union-attr]
    assert len(read.warnings) == 1


@every_dialect
def test_refuses_answers_without_anything_else(dialect: Dialect) -> None:
    with pytest.raises(ApiError, match="no call of the message before its result") as raised:
        parsed(dialect, Answer("c1", "f", "18C"))

    assert raised.value.status == 400


@pytest.mark.parametrize(
    ("name", "request_"),
    [
        ("openai_chat", {"model": MODEL, "messages": [{"role": "system", "content": POEM}]}),
        ("openai_chat", {"model": MODEL, "messages": [{"role": "developer", "content": POEM}]}),
        (
            "openai_chat",
            {"model": MODEL, "system": POEM, "messages": [{"role": "user", "content": ""}]},
        ),
        ("openai_responses", {"model": MODEL, "input": [{"role": "developer", "content": POEM}]}),
        ("openai_responses", {"model": MODEL, "input": [], "instructions": POEM}),
        ("openai_responses", {"model": MODEL, "instructions": POEM}),
        ("openai_responses", {"model": MODEL, "input": " ", "instructions": POEM}),
        ("gemini", {"contents": [], "systemInstruction": {"parts": [{"text": POEM}]}}),
        ("gemini", {"contents": [{"role": "user", "parts": [{"text": ""}]}], "systemInstruction": POEM}),
    ],
    ids=str,
)
def test_asks_a_system_prompt_that_comes_alone_as_the_user_s_message(name: str, request_: Json) -> None:
    (dialect,) = [one for one in DIALECTS if one.name == name]

    read = dialect.parse(request_)

    assert (read.job.system, read.job.turns) == ("", (Turn("user", (Text(POEM),)),))
    assert [warning for warning in read.warnings if "system prompt is given to Claude as one" in warning]


def test_asks_a_system_prompt_before_an_answer_of_the_assistant_s() -> None:
    (dialect,) = [one for one in DIALECTS if one.name == "openai_chat"]

    read = parsed(dialect, Say("system", POEM), Say("assistant", "Roses are"))

    assert read.job.turns[:2] == (Turn("user", (Text(POEM),)), Turn("assistant", (Text("Roses are"),)))


@pytest.mark.parametrize("dialect", [one for one in DIALECTS if one.name != "anthropic"], ids=lambda one: one.name)
def test_refuses_a_request_that_says_nothing(dialect: Dialect) -> None:
    with pytest.raises(ApiError) as raised:
        parsed(dialect, Say("user", " "))

    assert raised.value.status == 400
