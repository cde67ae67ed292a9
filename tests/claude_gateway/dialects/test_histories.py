"""Histories as clients send them, in every dialect: the gateway accepts and corrects them, and adds warnings."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import pytest

from claude_gateway.core.errors import ApiError
from tests.claude_gateway.dialects.adapters.all_dialects import DIALECTS, get_dialect
from tests.claude_gateway.dialects.adapters.dialect_adapter import MODEL, DialectAdapter, Json, ParsedRequest
from tests.claude_gateway.dialects.strategies.jobs import PIXEL_PNG_BASE64
from workers.conversation.prefix_keys import ReplyBuilder, canonicalize_turn
from workers.core.events import BlockEnded, BlockStarted, Event, Finished, Started, TokenUsage, ToolInputDelta
from workers.core.job import Document, Image, SearchResult, Text, ToolResult, ToolUse, Turn

BIG_INTEGER = 1234567890123456789
LONG_TEXT = "Write one line of a poem."
ABANDONED_TEXT = "The call was abandoned; there is no result."


@dataclass(frozen=True)
class Message:
    """A message of one role."""

    role: str
    text: str


@dataclass(frozen=True)
class Call:
    """A tool call; `arguments` is the value in the request."""

    id: str
    name: str
    arguments: Any


@dataclass(frozen=True)
class Result:
    """The result of a tool call."""

    id: str
    name: str
    text: str


Entry = Message | Call | Result
History = Sequence[Entry]


def chat_request(history: History) -> Json:
    def message(entry: Entry) -> Json:
        match entry:
            case Message(role, text):
                return {"role": role, "content": text}
            case Call(id_, name, arguments):
                call = {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}
                return {"role": "assistant", "content": None, "tool_calls": [call]}
            case Result(id_, _, text):
                return {"role": "tool", "tool_call_id": id_, "content": text}

    return {"model": MODEL, "messages": [message(entry) for entry in history]}


def responses_request(history: History) -> Json:
    def item(entry: Entry) -> Json:
        match entry:
            case Message(role, text):
                return {"role": role, "content": text}
            case Call(id_, name, arguments):
                return {
                    "type": "function_call",
                    "call_id": id_,
                    "name": name,
                    "arguments": arguments,
                    "status": "incomplete",
                }
            case Result(id_, _, text):
                return {"type": "function_call_output", "call_id": id_, "output": text}

    return {"model": MODEL, "input": [item(entry) for entry in history]}


def messages_request(history: History) -> Json:
    def message(entry: Entry) -> Json:
        match entry:
            case Message(role, text):
                return {"role": role, "content": text}
            case Call(id_, name, arguments):
                block = {"type": "tool_use", "id": id_, "name": name, "input": arguments}
                return {"role": "assistant", "content": [block]}
            case Result(id_, _, text):
                return {"role": "user", "content": [{"type": "tool_result", "tool_use_id": id_, "content": text}]}

    return {"model": MODEL, "max_tokens": 50, "messages": [message(entry) for entry in history]}


def gemini_request(history: History) -> Json:
    def content(entry: Entry) -> Json:
        match entry:
            case Message(role, text):
                return {"role": "user" if role == "user" else "model", "parts": [{"text": text}]}
            case Call(_, name, arguments):
                return {"role": "model", "parts": [{"functionCall": {"name": name, "args": arguments}}]}
            case Result(_, name, text):
                response = {"functionResponse": {"name": name, "response": {"output": text}}}
                return {"role": "user", "parts": [response]}

    return {"contents": [content(entry) for entry in history]}


REQUESTS: dict[str, Callable[[History], Json]] = {
    "openai_chat": chat_request,
    "openai_responses": responses_request,
    "anthropic": messages_request,
    "gemini": gemini_request,
}
every_dialect = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
# Dialects in which arguments are JSON text, and dialects in which they are an object.
TEXT_ARGUMENTS = ("openai_chat", "openai_responses")


def parse_history(dialect: DialectAdapter, *history: Entry) -> ParsedRequest:
    return dialect.parse(REQUESTS[dialect.name](history))


def parse_arguments(dialect: DialectAdapter, raw_arguments: Any) -> tuple[Any, tuple[str, ...]]:
    """Return the arguments of a call as the model reads them, and the warnings."""
    parsed = parse_history(
        dialect,
        Message("user", "a"),
        Call("c1", "f", raw_arguments),
        Result("c1", "f", "cut"),
        Message("user", "go on"),
    )
    (call,) = [block for block in parsed.job.turns[1].blocks if isinstance(block, ToolUse)]
    return call.input, parsed.warnings


@every_dialect
@pytest.mark.parametrize(
    ("raw_arguments", "value"),
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
def test_accepts_any_value_as_call_arguments_with_a_warning(
    dialect: DialectAdapter, raw_arguments: Any, value: Any
) -> None:
    parsed, (warning,) = parse_arguments(dialect, raw_arguments)

    assert parsed == value
    assert (
        "arguments" if dialect.name in TEXT_ARGUMENTS else "args" if dialect.name == "gemini" else "input"
    ) in warning


@every_dialect
def test_renders_too_deeply_nested_arguments_as_text(dialect: DialectAdapter) -> None:
    deep: Any = 1
    for _ in range(300):
        deep = {"x": deep}

    parsed, (warning,) = parse_arguments(dialect, deep)

    assert json.loads(parsed["raw"]) == deep
    assert "arg" in warning or "input" in warning


def test_accepts_call_without_input() -> None:
    dialect = get_dialect("anthropic")
    call = {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "f"}]}

    parsed = dialect.parse({"model": MODEL, "messages": [{"role": "user", "content": "a"}, call]})

    assert parsed.job.turns[1].blocks == (ToolUse("c1", "f", {}),)


@every_dialect
def test_accepts_arguments_as_object_or_text_without_warning(dialect: DialectAdapter) -> None:
    for raw_arguments in ({"city": "Paris"}, '{"city": "Paris"}'):
        assert parse_arguments(dialect, raw_arguments) == ({"city": "Paris"}, ())
    assert parse_arguments(dialect, "") == ({}, ())


@every_dialect
def test_renders_integer_that_the_cli_would_round_as_digits_with_a_warning(dialect: DialectAdapter) -> None:
    value = {"user": BIG_INTEGER, "safe": 2**53, "list": [{"id": -BIG_INTEGER}]}
    for raw_arguments in (value, orjson.dumps(value).decode()):
        parsed, (warning,) = parse_arguments(dialect, raw_arguments)

        assert parsed == {"user": str(BIG_INTEGER), "safe": 2**53, "list": [{"id": str(-BIG_INTEGER)}]}
        assert ".user" in warning
        assert ".list.0.id" in warning


@pytest.mark.parametrize(
    "dialect", [dialect for dialect in DIALECTS if dialect.name in TEXT_ARGUMENTS], ids=lambda dialect: dialect.name
)
def test_keeps_all_digits_of_integers_beyond_64_bits(dialect: DialectAdapter) -> None:
    parsed, warnings = parse_arguments(dialect, f'{{"user": {10**30}}}')

    assert parsed == {"user": str(10**30)}
    assert len(warnings) == 1


@pytest.mark.parametrize(
    "dialect", [dialect for dialect in DIALECTS if dialect.name not in TEXT_ARGUMENTS], ids=lambda dialect: dialect.name
)
def test_warns_about_integer_beyond_64_bits_in_an_object(dialect: DialectAdapter) -> None:
    _, (warning,) = parse_arguments(dialect, {"user": 1e30, "far": 1e300})

    assert warning.endswith(".user: changed by rounding (the number does not fit into 64 bits)")


@every_dialect
def test_merges_equal_results_of_a_call_and_joins_different_ones(dialect: DialectAdapter) -> None:
    question = (Message("user", "weather?"), Call("c1", "f", {}))
    for second, texts in (("18C", ("18C",)), ("19C", ("18C", "19C"))):
        parsed = parse_history(dialect, *question, Result("c1", "f", "18C"), Result("c1", "f", second))

        (result,) = parsed.job.turns[2].blocks
        assert isinstance(result, ToolResult)
        assert result.content == tuple(map(Text, texts))
        assert len(parsed.warnings) == 1
        assert "'f'" in parsed.warnings[0]


@every_dialect
def test_renders_late_result_as_text(dialect: DialectAdapter) -> None:
    history = (Message("user", "a"), Call("c1", "f", {}), Message("user", "wait"), Message("assistant", "ok"))

    parsed = parse_history(dialect, *history, Result("c1", "f", "18C"), Message("user", "so?"))

    late, question = parsed.job.turns[4].blocks
    assert isinstance(late, Text)
    assert late.text.startswith("<tool_result ")
    assert "18C" in late.text
    assert question == Text("so?")
    assert [block.content for block in parsed.job.turns[2].blocks if isinstance(block, ToolResult)] == [
        (Text(ABANDONED_TEXT),)
    ]
    assert len(parsed.warnings) == 2


@every_dialect
def test_renders_orphan_result_as_text(dialect: DialectAdapter) -> None:
    parsed = parse_history(
        dialect, Result("c1", "f", "18C"), Message("assistant", "It is 18 degrees."), Message("user", "and now?")
    )

    assert "18C" in parsed.job.turns[0].blocks[0].text  # type: ignore[union-attr]
    assert len(parsed.warnings) == 1


@every_dialect
def test_rejects_request_with_only_orphan_results(dialect: DialectAdapter) -> None:
    with pytest.raises(ApiError, match="has no call in the message before it") as raised:
        parse_history(dialect, Result("c1", "f", "18C"))

    assert raised.value.status == 400


@pytest.mark.parametrize(
    ("name", "request_"),
    [
        ("openai_chat", {"model": MODEL, "messages": [{"role": "system", "content": LONG_TEXT}]}),
        ("openai_chat", {"model": MODEL, "messages": [{"role": "developer", "content": LONG_TEXT}]}),
        (
            "openai_chat",
            {"model": MODEL, "system": LONG_TEXT, "messages": [{"role": "user", "content": ""}]},
        ),
        ("openai_responses", {"model": MODEL, "input": [{"role": "developer", "content": LONG_TEXT}]}),
        ("openai_responses", {"model": MODEL, "input": [], "instructions": LONG_TEXT}),
        ("openai_responses", {"model": MODEL, "instructions": LONG_TEXT}),
        ("openai_responses", {"model": MODEL, "input": " ", "instructions": LONG_TEXT}),
        ("gemini", {"contents": [], "systemInstruction": {"parts": [{"text": LONG_TEXT}]}}),
        ("gemini", {"contents": [{"role": "user", "parts": [{"text": ""}]}], "systemInstruction": LONG_TEXT}),
    ],
    ids=str,
)
def test_sends_lone_system_prompt_as_user_message(name: str, request_: Json) -> None:
    dialect = get_dialect(name)

    parsed = dialect.parse(request_)

    assert (parsed.job.system, parsed.job.turns) == ("", (Turn("user", (Text(LONG_TEXT),)),))
    assert [warning for warning in parsed.warnings if "moved the system prompt into a user message" in warning]


def test_sends_system_prompt_as_user_message_before_leading_assistant_message() -> None:
    dialect = get_dialect("openai_chat")

    parsed = parse_history(dialect, Message("system", LONG_TEXT), Message("assistant", "Roses are"))

    assert parsed.job.turns[:2] == (Turn("user", (Text(LONG_TEXT),)), Turn("assistant", (Text("Roses are"),)))


@pytest.mark.parametrize(
    "dialect", [dialect for dialect in DIALECTS if dialect.name != "anthropic"], ids=lambda dialect: dialect.name
)
def test_rejects_request_without_content(dialect: DialectAdapter) -> None:
    with pytest.raises(ApiError) as raised:
        parse_history(dialect, Message("user", " "))

    assert raised.value.status == 400


SEARCH_BLOCK = {
    "type": "search_result",
    "source": "https://kb/1",
    "title": "Prices",
    "content": [{"type": "text", "text": "42"}],
}
SEARCH_RESULT = SearchResult({name: value for name, value in SEARCH_BLOCK.items() if name != "type"})
SEARCH_TEXT = "<search_result>\nsource: https://kb/1\ntitle: Prices\n\n42\n</search_result>"
QUESTION = {"type": "text", "text": "What does it cost?"}


def parse_blocks(name: str, *contents: Any) -> ParsedRequest:
    """Parse alternating user and assistant messages in a dialect that accepts Anthropic's blocks."""
    dialect = get_dialect(name)
    roles = ("user", "assistant")
    messages = [{"role": roles[number % 2], "content": content} for number, content in enumerate(contents)]
    return dialect.parse({"model": MODEL, "messages": messages})


every_dialect_with_blocks = pytest.mark.parametrize("name", ["anthropic", "openai_chat"])


@every_dialect_with_blocks
def test_passes_search_result_of_the_user_unchanged(name: str) -> None:
    parsed = parse_blocks(
        name, [{**SEARCH_BLOCK, "cache_control": {"type": "ephemeral"}, "citations": {"enabled": False}}, QUESTION]
    )

    assert parsed.job.turns[0].blocks == (SEARCH_RESULT, Text("What does it cost?"))
    assert parsed.warnings == ()


@every_dialect_with_blocks
def test_warns_about_citations_of_a_search_result(name: str) -> None:
    parsed = parse_blocks(name, [{**SEARCH_BLOCK, "citations": {"enabled": True}}])

    assert parsed.job.turns[0].blocks == (SEARCH_RESULT,)
    assert parsed.warnings == ("messages.0.content.0.citations: ignored (not supported by this version)",)


@every_dialect_with_blocks
@pytest.mark.parametrize("failed", [False, True])
def test_passes_search_result_of_a_tool_unchanged(name: str, failed: bool) -> None:
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": [SEARCH_BLOCK, QUESTION], "is_error": failed}

    blocks = parse_blocks(name, "a", [call], [result]).job.turns[2].blocks

    question = Text("What does it cost?")
    if failed:  # the result of a failed call can only contain text
        assert blocks == (ToolResult("t", (question,), is_error=True), SEARCH_RESULT)
    else:
        assert blocks == (ToolResult("t", (SEARCH_RESULT, question)),)


def test_passes_search_result_in_a_tool_message_unchanged() -> None:
    dialect = get_dialect("openai_chat")
    call = {"id": "t", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "t", "content": [SEARCH_BLOCK]},
    ]

    assert dialect.parse({"model": MODEL, "messages": messages}).job.turns[2].blocks == (
        ToolResult("t", (SEARCH_RESULT,)),
    )


@every_dialect_with_blocks
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"title": None}, SEARCH_TEXT.replace("title: Prices\n", "")),
        ({"source": " "}, SEARCH_TEXT.replace("https://kb/1", " ")),
        ({"content": "42"}, SEARCH_TEXT.replace("\n\n42", "\n42")),
        ({"content": [{"type": "image", "text": "42"}]}, SEARCH_TEXT.replace("\n42", "\ntype: image\n42")),
    ],
    ids=["no title", "blank source", "content in a string", "no text block"],
)
def test_renders_search_result_that_the_api_rejects_as_text(name: str, changes: Json, expected: str) -> None:
    parsed = parse_blocks(name, [{**SEARCH_BLOCK, **changes}])

    assert parsed.job.turns[0].blocks == (Text(expected),)
    assert parsed.warnings == ("messages.0.content.0: converted a block of type 'search_result' to text",)


def test_renders_search_results_in_system_prompt_and_document_as_text() -> None:
    dialect = get_dialect("anthropic")
    paper = {"type": "document", "source": {"type": "content", "content": [SEARCH_BLOCK]}}

    job = dialect.parse(
        {"model": MODEL, "system": [SEARCH_BLOCK], "messages": [{"role": "user", "content": [paper]}]}
    ).job

    assert job.system == SEARCH_TEXT
    assert job.turns[0].blocks == (
        Document({"source": {"type": "content", "content": [{"type": "text", "text": SEARCH_TEXT}]}}),
    )


@every_dialect_with_blocks
def test_renders_tool_reference_as_name_of_its_tool(name: str) -> None:
    call = {"type": "tool_use", "id": "t", "name": "ToolSearch", "input": {}}
    references = [{"type": "tool_reference", "tool_name": tool} for tool in ("weather", "mail")]
    result = {"type": "tool_result", "tool_use_id": "t", "content": references}

    parsed = parse_blocks(name, "a", [call], [result])

    reference_texts = (Text("Found tool: weather"), Text("Found tool: mail"))
    assert (parsed.job.turns[2].blocks, parsed.warnings) == ((ToolResult("t", reference_texts),), ())


@every_dialect_with_blocks
def test_renders_hosted_tool_blocks_as_text(name: str) -> None:
    search_call = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}}
    search_result = {
        "type": "web_search_tool_result",
        "tool_use_id": "s",
        "content": [{"type": "x", "url": "u", "title": "t"}],
    }

    parsed = parse_blocks(name, "a", [search_call, search_result, {"type": "text", "text": "It is t."}], "b")

    text = "".join(block.text for block in parsed.job.turns[1].blocks if isinstance(block, Text))
    assert all(part in text for part in ("web_search", "query: q", "url: u", "title: t", "It is t."))
    assert {type(block) for block in parsed.job.turns[1].blocks} == {Text}
    assert len(parsed.warnings) == 1


def test_renders_unknown_block_type_as_text() -> None:
    parsed = parse_blocks("anthropic", [{"type": "memo", "memo": "remember me"}] * 3)

    assert parsed.job.turns[0].blocks == (Text("<memo>\nmemo: remember me\n</memo>"),) * 3
    assert parsed.warnings == ("messages.0.content.0: converted a block of type 'memo' to text",)


def test_renders_items_of_openai_hosted_tools_as_text() -> None:
    dialect = get_dialect("openai_responses")
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

    parsed = dialect.parse({"model": MODEL, "input": items})

    text = "".join(block.text for block in parsed.job.turns[1].blocks if isinstance(block, Text))
    assert all(part in text for part in ("q1", "q2", "FACT", "out"))
    assert text.endswith("b")
    assert parsed.job.turns[2].blocks == (
        Text("<mcp_approval_response>\napprove: true\nreason: fine\n</mcp_approval_response>"),
    )
    omissions = [warning for warning in parsed.warnings if ": omitted " in warning]
    assert [warning.partition(":")[0] for warning in omissions] == ["input.4", "input.5"]


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
                "output": {"type": "computer_screenshot", "image_url": f"data:image/png;base64,{PIXEL_PNG_BASE64}"},
            },
            {"type": "click", "x": 1, "y": 2},
            (Image({"type": "base64", "media_type": "image/png", "data": PIXEL_PNG_BASE64}),),
        ),
    ],
    ids=lambda value: value.get("type", "") if isinstance(value, dict) else "",
)
def test_converts_openai_tools_that_the_client_runs_to_tool_calls(
    call: Json, output: Json, arguments: Json, result: Any
) -> None:
    dialect = get_dialect("openai_responses")

    parsed = dialect.parse({"model": MODEL, "input": [{"role": "user", "content": "a"}, call, output]})

    name = call["type"].removesuffix("_call")
    assert parsed.job.turns[1:] == (
        Turn("assistant", (ToolUse("c", name, arguments),)),
        Turn("user", (ToolResult("c", result),)),
    )
    assert parsed.warnings == ()


def test_warns_about_omitted_images_of_system_and_assistant() -> None:
    dialect = get_dialect("openai_responses")
    image = {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL_PNG_BASE64}"}
    items = [
        {"role": role, "content": [image, {"type": "input_text", "text": role}]}
        for role in ("system", "user", "assistant")
    ]

    parsed = dialect.parse({"model": MODEL, "input": items})

    assert [warning.partition(":")[0] for warning in parsed.warnings[:2]] == ["input.0", "input.2"]


def test_renders_gemini_parts_of_hosted_tools_as_text() -> None:
    dialect = get_dialect("gemini")
    parts = [
        {"executableCode": {"language": "PYTHON", "code": "print(1)"}},
        {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "one"}},
        {"toolResponse": {"toolType": "GOOGLE_SEARCH", "response": {"found": "FACT"}}},
    ]
    contents = [{"role": "user", "parts": [{"text": "a"}]}, {"role": "model", "parts": parts}]

    (text, *_) = dialect.parse({"contents": contents}).job.turns[1].blocks

    assert isinstance(text, Text)
    assert all(expected in text.text for expected in ("print(1)", "one", "found: FACT"))


def test_passes_refusal_beside_other_content() -> None:
    dialect = get_dialect("openai_chat")
    expected: tuple[Any, ...] = ("Sorry.", [{"type": "text", "text": "Sorry."}], None)
    for content in expected:
        reply = {"role": "assistant", "content": content, "refusal": "I cannot."}
        messages = [{"role": "user", "content": "a"}, reply, {"role": "user", "content": "b"}]

        blocks = dialect.parse({"model": MODEL, "messages": messages}).job.turns[1].blocks

        assert blocks == ((Text("Sorry."),) if content else ()) + (Text("I cannot."),)


LONG_CALL: list[Event] = [
    Started(MODEL),
    BlockStarted(ToolUse("c1", "f", {})),
    ToolInputDelta(f'{{"user": {BIG_INTEGER}, '),
    ToolInputDelta(f'"longer": {10**30}}}'),
    BlockEnded(),
    Finished("tool_use", TokenUsage()),
]


@every_dialect
def test_client_receives_all_digits_of_integers_in_a_call(dialect: DialectAdapter) -> None:
    body = orjson.dumps(dialect.encode_body(LONG_CALL)).decode()
    streamed = "".join(data for _, data in dialect.encode_stream(LONG_CALL))

    for raw_arguments in (body, streamed):
        assert f": {BIG_INTEGER}" in raw_arguments
        assert f": {10**30}" in raw_arguments


@pytest.mark.parametrize("in_text", [True, False])
@every_dialect
def test_resent_call_equals_the_original_call(dialect: DialectAdapter, in_text: bool) -> None:
    """Otherwise the gateway would not find the process that holds the conversation."""
    reply = ReplyBuilder()
    for event in (BlockStarted(ToolUse("c1", "f", {})), ToolInputDelta(f'{{"user": {BIG_INTEGER}}}'), BlockEnded()):
        reply.feed(event)
    expected = reply.build()
    raw_arguments = f'{{"user":{BIG_INTEGER}}}' if in_text else {"user": BIG_INTEGER}

    parsed = parse_history(dialect, Message("user", "a"), Call("c1", "f", raw_arguments), Result("c1", "f", "done"))

    assert expected is not None
    (original,), (resent,) = canonicalize_turn(expected)[1:], canonicalize_turn(parsed.job.turns[1])[1:]
    assert original["input"] == resent["input"] == {"user": str(BIG_INTEGER)}


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
def test_warns_about_integer_in_a_schema_that_the_cli_rounds(name: str, request_: Json) -> None:
    dialect = get_dialect(name)

    (warning,) = dialect.parse({**dialect.minimal_request(), **request_}).warnings

    assert ".properties.user.maximum: changed (Claude Code rounds this integer)" in warning
    assert "ban" in warning or "schema" in warning.lower()
