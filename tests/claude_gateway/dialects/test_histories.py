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
from tests.claude_gateway.dialects.jobs import PIXEL
from workers.continuation import Reply, canonical
from workers.events import BlockEnded, BlockStarted, Event, Finished, InputDelta, Started, Usage
from workers.job import Document, Image, SearchResult, Text, ToolResult, ToolUse, Turn

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


@pytest.mark.parametrize("dialect", [one for one in DIALECTS if one.name not in IN_TEXT], ids=lambda one: one.name)
def test_names_an_integer_of_an_object_that_has_no_room_in_64_bits(dialect: Dialect) -> None:
    _, (warning,) = arguments(dialect, {"user": 1e30, "far": 1e300})

    assert warning.endswith(".user: rounded, the number has no room in 64 bits")


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


FACT = {
    "type": "search_result",
    "source": "https://kb/1",
    "title": "Prices",
    "content": [{"type": "text", "text": "42"}],
}
FOUND = SearchResult({name: value for name, value in FACT.items() if name != "type"})
IN_WORDS = "<search_result>\nsource: https://kb/1\ntitle: Prices\n\n42\n</search_result>"
QUESTION = {"type": "text", "text": "What does it cost?"}


def of_blocks(name: str, *contents: Any) -> Parsed:
    """Messages of the user's and the assistant's by turns, in one of the dialects that take Anthropic's blocks."""
    (dialect,) = [one for one in DIALECTS if one.name == name]
    roles = ("user", "assistant")
    sent = [{"role": roles[number % 2], "content": content} for number, content in enumerate(contents)]
    return dialect.parse({"model": MODEL, "messages": sent})


takes_blocks = pytest.mark.parametrize("name", ["anthropic", "openai_chat"])


@takes_blocks
def test_gives_a_search_result_of_the_user_s_as_it_is(name: str) -> None:
    read = of_blocks(
        name, [{**FACT, "cache_control": {"type": "ephemeral"}, "citations": {"enabled": False}}, QUESTION]
    )

    assert read.job.turns[0].blocks == (FOUND, Text("What does it cost?"))
    assert read.warnings == ()


@takes_blocks
def test_names_the_citations_of_a_search_result(name: str) -> None:
    read = of_blocks(name, [{**FACT, "citations": {"enabled": True}}])

    assert read.job.turns[0].blocks == (FOUND,)
    assert read.warnings == ("messages.0.content.0.citations: not supported by this version",)


@takes_blocks
@pytest.mark.parametrize("failed", [False, True])
def test_gives_a_search_result_of_a_tool_s_as_it_is(name: str, failed: bool) -> None:
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": [FACT, QUESTION], "is_error": failed}

    blocks = of_blocks(name, "a", [call], [result]).job.turns[2].blocks

    question = Text("What does it cost?")
    if failed:  # the result of a failed call is text alone
        assert blocks == (ToolResult("t", (question,), is_error=True), FOUND)
    else:
        assert blocks == (ToolResult("t", (FOUND, question)),)


def test_gives_a_search_result_in_a_tool_message_as_it_is() -> None:
    (dialect,) = [one for one in DIALECTS if one.name == "openai_chat"]
    call = {"id": "t", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    sent = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "t", "content": [FACT]},
    ]

    assert dialect.parse({"model": MODEL, "messages": sent}).job.turns[2].blocks == (ToolResult("t", (FOUND,)),)


@takes_blocks
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"title": None}, IN_WORDS.replace("title: Prices\n", "")),
        ({"source": " "}, IN_WORDS.replace("https://kb/1", " ")),
        ({"content": "42"}, IN_WORDS.replace("\n\n42", "\n42")),
        ({"content": [{"type": "image", "text": "42"}]}, IN_WORDS.replace("\n42", "\ntype: image\n42")),
    ],
    ids=["no title", "blank source", "content in a string", "no text block"],
)
def test_gives_a_search_result_that_the_api_refuses_as_text(name: str, changes: Json, said: str) -> None:
    read = of_blocks(name, [{**FACT, **changes}])

    assert read.job.turns[0].blocks == (Text(said),)
    assert read.warnings == ("messages.0.content.0: a block of type 'search_result' is given to Claude as text",)


def test_gives_search_results_in_a_system_prompt_and_in_a_document_as_text() -> None:
    (dialect,) = [one for one in DIALECTS if one.name == "anthropic"]
    paper = {"type": "document", "source": {"type": "content", "content": [FACT]}}

    job = dialect.parse({"model": MODEL, "system": [FACT], "messages": [{"role": "user", "content": [paper]}]}).job

    assert job.system == IN_WORDS
    assert job.turns[0].blocks == (
        Document({"source": {"type": "content", "content": [{"type": "text", "text": IN_WORDS}]}}),
    )


@takes_blocks
def test_gives_a_tool_reference_by_the_name_of_its_tool(name: str) -> None:
    call = {"type": "tool_use", "id": "t", "name": "ToolSearch", "input": {}}
    references = [{"type": "tool_reference", "tool_name": tool} for tool in ("weather", "mail")]
    result = {"type": "tool_result", "tool_use_id": "t", "content": references}

    read = of_blocks(name, "a", [call], [result])

    found = (Text("Found tool: weather"), Text("Found tool: mail"))
    assert (read.job.turns[2].blocks, read.warnings) == ((ToolResult("t", found),), ())


@takes_blocks
def test_gives_what_the_provider_did_as_text(name: str) -> None:
    use = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}}
    found = {"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"type": "x", "url": "u", "title": "t"}]}

    read = of_blocks(name, "a", [use, found, {"type": "text", "text": "It is t."}], "b")

    words = "".join(block.text for block in read.job.turns[1].blocks if isinstance(block, Text))
    assert all(text in words for text in ("web_search", "query: q", "url: u", "title: t", "It is t."))
    assert {type(block) for block in read.job.turns[1].blocks} == {Text}
    assert len(read.warnings) == 1


def test_gives_a_block_of_tomorrow_as_text() -> None:
    read = of_blocks("anthropic", [{"type": "memo", "memo": "remember me"}] * 3)

    assert read.job.turns[0].blocks == (Text("<memo>\nmemo: remember me\n</memo>"),) * 3
    assert read.warnings == ("messages.0.content.0: a block of type 'memo' is given to Claude as text",)


def test_gives_items_of_openai_s_own_tools_as_text() -> None:
    (dialect,) = [one for one in DIALECTS if one.name == "openai_responses"]
    items = [
        {"role": "user", "content": "a"},
        {"type": "web_search_call", "id": "w", "status": "completed", "action": {"type": "search", "query": "q1"}},
        {"type": "file_search_call", "queries": ["q2"], "results": [{"file_id": "f", "filename": "n", "text": "FACT"}]},
        {"type": "mcp_call", "name": "n", "server_label": "l", "arguments": "{}", "output": "out"},
        {"type": "mcp_list_tools", "server_label": "l", "tools": []},
        {"type": "compaction", "encrypted_content": "x"},
        {"role": "assistant", "content": "b"},
        {"type": "mcp_approval_response", "approval_request_id": "m", "approve": True, "reason": "fine"},
    ]

    read = dialect.parse({"model": MODEL, "input": items})

    words = "".join(block.text for block in read.job.turns[1].blocks if isinstance(block, Text))
    assert all(text in words for text in ("q1", "q2", "FACT", "out"))
    assert words.endswith("b")
    assert read.job.turns[2].blocks == (
        Text("<mcp_approval_response>\napprove: true\nreason: fine\n</mcp_approval_response>"),
    )
    left_out = [warning for warning in read.warnings if warning.endswith("left out")]
    assert [warning.partition(":")[0] for warning in left_out] == ["input.4", "input.5"]


@pytest.mark.parametrize(
    ("call", "output", "arguments", "result"),
    [
        (
            {"type": "local_shell_call", "call_id": "c", "action": {"type": "exec", "command": ["ls"]}},
            {"type": "local_shell_call_output", "id": "c", "output": "a.txt"},
            {"type": "exec", "command": ["ls"]},
            (Text("a.txt"),),
        ),
        (
            {"type": "shell_call", "call_id": "c", "action": {"commands": ["ls"]}},
            {"type": "shell_call_output", "call_id": "c", "output": [{"stdout": "a.txt", "stderr": ""}]},
            {"commands": ["ls"]},
            (Text("<output>\nstdout: a.txt\n</output>"),),
        ),
        (
            {"type": "apply_patch_call", "call_id": "c", "operation": {"type": "delete_file", "path": "a"}},
            {"type": "apply_patch_call_output", "call_id": "c", "status": "failed", "output": "no such file"},
            {"type": "delete_file", "path": "a"},
            (Text("failed\nno such file"),),
        ),
        (
            {"type": "computer_call", "call_id": "c", "action": {"type": "click", "x": 1, "y": 2}},
            {
                "type": "computer_call_output",
                "call_id": "c",
                "output": {"type": "computer_screenshot", "image_url": f"data:image/png;base64,{PIXEL}"},
            },
            {"type": "click", "x": 1, "y": 2},
            (Image({"type": "base64", "media_type": "image/png", "data": PIXEL}),),
        ),
    ],
    ids=lambda value: value.get("type", "") if isinstance(value, dict) else "",
)
def test_calls_that_the_client_ran_for_openai_s_own_tools_are_calls(
    call: Json, output: Json, arguments: Json, result: Any
) -> None:
    (dialect,) = [one for one in DIALECTS if one.name == "openai_responses"]

    read = dialect.parse({"model": MODEL, "input": [{"role": "user", "content": "a"}, call, output]})

    name = call["type"].removesuffix("_call")
    assert read.job.turns[1:] == (
        Turn("assistant", (ToolUse("c", name, arguments),)),
        Turn("user", (ToolResult("c", result),)),
    )
    assert read.warnings == ()


def test_names_images_of_the_assistant_s_that_are_left_out() -> None:
    (dialect,) = [one for one in DIALECTS if one.name == "openai_responses"]
    image = {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}"}
    items = [
        {"role": role, "content": [image, {"type": "input_text", "text": role}]}
        for role in ("system", "user", "assistant")
    ]

    read = dialect.parse({"model": MODEL, "input": items})

    assert [warning.partition(":")[0] for warning in read.warnings[:2]] == ["input.0", "input.2"]


def test_gives_gemini_s_parts_of_its_own_tools_as_text() -> None:
    (dialect,) = [one for one in DIALECTS if one.name == "gemini"]
    parts = [
        {"executableCode": {"language": "PYTHON", "code": "print(1)"}},
        {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "one"}},
        {"toolResponse": {"toolType": "GOOGLE_SEARCH", "response": {"found": "FACT"}}},
    ]
    contents = [{"role": "user", "parts": [{"text": "a"}]}, {"role": "model", "parts": parts}]

    (text, *_) = dialect.parse({"contents": contents}).job.turns[1].blocks

    assert isinstance(text, Text)
    assert all(said in text.text for said in ("print(1)", "one", "found: FACT"))


def test_a_refusal_reaches_claude_beside_other_content() -> None:
    (dialect,) = [one for one in DIALECTS if one.name == "openai_chat"]
    said: tuple[Any, ...] = ("Sorry.", [{"type": "text", "text": "Sorry."}], None)
    for content in said:
        answer = {"role": "assistant", "content": content, "refusal": "I cannot."}
        sent = [{"role": "user", "content": "a"}, answer, {"role": "user", "content": "b"}]

        blocks = dialect.parse({"model": MODEL, "messages": sent}).job.turns[1].blocks

        assert blocks == ((Text("Sorry."),) if content else ()) + (Text("I cannot."),)


LONG_CALL: list[Event] = [
    Started(MODEL),
    BlockStarted(ToolUse("c1", "f", {})),
    InputDelta(f'{{"user": {BIG}, '),
    InputDelta(f'"longer": {10**30}}}'),
    BlockEnded(),
    Finished("tool_use", Usage()),
]


@every_dialect
def test_a_client_is_given_all_digits_of_the_integers_in_a_call(dialect: Dialect) -> None:
    whole = orjson.dumps(dialect.body(LONG_CALL)).decode()
    streamed = "".join(data for _, data in dialect.stream(LONG_CALL))

    for written in (whole, streamed):
        assert f": {BIG}" in written
        assert f": {10**30}" in written


@pytest.mark.parametrize("in_text", [True, False])
@every_dialect
def test_a_call_that_comes_back_is_the_one_that_the_model_made(dialect: Dialect, in_text: bool) -> None:
    """By which the process is found that holds the conversation."""
    reply = Reply()
    for event in (BlockStarted(ToolUse("c1", "f", {})), InputDelta(f'{{"user": {BIG}}}'), BlockEnded()):
        reply.feed(event)
    said = reply.turn()
    written = f'{{"user":{BIG}}}' if in_text else {"user": BIG}

    read = parsed(dialect, Say("user", "a"), Call("c1", "f", written), Answer("c1", "f", "done"))

    assert said is not None
    (made,), (back,) = canonical(said)[1:], canonical(read.job.turns[1])[1:]
    assert made["input"] == back["input"] == {"user": str(BIG)}


ROUNDED = {"type": "object", "properties": {"user": {"type": "integer", "maximum": 2**63 - 1, "minimum": 2**53}}}


@pytest.mark.parametrize(
    ("name", "request_"),
    [
        ("openai_chat", {"tools": [{"type": "function", "function": {"name": "ban", "parameters": ROUNDED}}]}),
        ("openai_chat", {"tools": [{"name": "ban", "input_schema": ROUNDED}]}),
        ("openai_chat", {"functions": [{"name": "ban", "parameters": ROUNDED}]}),
        ("anthropic", {"tools": [{"name": "ban", "input_schema": ROUNDED}]}),
        ("openai_responses", {"tools": [{"type": "function", "name": "ban", "parameters": ROUNDED}]}),
        ("gemini", {"tools": [{"functionDeclarations": [{"name": "ban", "parameters": ROUNDED}]}]}),
        ("gemini", {"tools": [{"functionDeclarations": [{"name": "ban", "parametersJsonSchema": ROUNDED}]}]}),
        ("anthropic", {"output_config": {"format": {"type": "json_schema", "schema": ROUNDED}}}),
        (
            "openai_chat",
            {"response_format": {"type": "json_schema", "json_schema": {"name": "ban", "schema": ROUNDED}}},
        ),
        (
            "openai_responses",
            {"text": {"format": {"type": "json_schema", "name": "ban", "schema": ROUNDED}}},
        ),
        ("gemini", {"generationConfig": {"responseMimeType": "application/json", "responseSchema": ROUNDED}}),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_names_an_integer_of_a_schema_that_the_cli_rounds(name: str, request_: Json) -> None:
    (dialect,) = [one for one in DIALECTS if one.name == name]

    (warning,) = dialect.parse({**dialect.request(), **request_}).warnings

    assert ".properties.user.maximum: Claude Code rounds this integer" in warning
    assert "ban" in warning or "schema" in warning.lower()
