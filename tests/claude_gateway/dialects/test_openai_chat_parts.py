"""The parts of a chat message's content: OpenAI's own, and Anthropic's blocks as Cursor mixes them in."""

from typing import Any

import pytest

from claude_gateway.cli_facts.pictures import base64, pdf, png
from claude_gateway.dialects.openai_chat.parse import ParsedChat, parse
from claude_gateway.dialects.openai_chat.wire import ChatRequest
from claude_gateway.errors import ApiError
from workers.job import Block, Document, Image, RedactedThought, Text, Thought, Tool, ToolResult, ToolUse, Turn

MODEL = "claude-sonnet-4-5-20250929"
IMAGE = {"type": "base64", "media_type": "image/png", "data": base64(png())}
PAPER = {"type": "base64", "media_type": "application/pdf", "data": base64(pdf())}
IMAGE_URL = f"data:image/png;base64,{IMAGE['data']}"
PAPER_URL = f"data:application/pdf;base64,{PAPER['data']}"
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def chat(*messages: dict[str, Any], **more: Any) -> ParsedChat:
    return parse(ChatRequest.model_validate({"model": MODEL, "messages": messages, **more}), "owner", MODEL)


def said(*parts: Any) -> list[Block]:
    """The blocks of a user's message of these parts."""
    return list(chat({"role": "user", "content": list(parts)}).job.turns[0].blocks)


def image(url: Any = IMAGE_URL, **more: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": url, **more}


def file(**fields: str) -> dict[str, Any]:
    return {"type": "file", "file": fields}


@pytest.mark.parametrize(
    ("part", "block"),
    [
        (image({"url": IMAGE_URL, "detail": "high"}), Image(IMAGE)),
        (image(), Image(IMAGE)),
        (image({"url": IMAGE_URL}, cache_control={"type": "ephemeral"}), Image(IMAGE)),
        (image({"url": PAPER_URL}), Document({"source": PAPER})),
        (file(file_data=PAPER_URL, filename="a.pdf"), Document({"source": PAPER, "title": "a.pdf"})),
        (file(file_data=PAPER["data"]), Document({"source": PAPER})),
        (file(file_data=IMAGE_URL, filename="a.png"), Image(IMAGE)),
        ({"type": "image", "source": IMAGE}, Image(IMAGE)),
        ({"type": "document", "source": PAPER}, Document({"source": PAPER})),
        ({"type": "refusal", "refusal": "no"}, Text("no")),
    ],
)
def test_a_part_becomes_a_block(part: dict[str, Any], block: Block) -> None:
    assert said({"type": "text", "text": "see"}, part) == [Text("see"), block]


@pytest.mark.parametrize(
    ("part", "place"),
    [
        ({"type": "text"}, ""),
        ({"type": "text", "text": 5}, ""),
        (image(None), ""),
        (image({"detail": "low"}), ""),
        (image("https"), ".image_url"),
        (image("data:image/gif;base64," + IMAGE["data"]), ".image_url"),
        (image("data:image/png;base64,%%%"), ".image_url"),
        (file(), ""),
        (file(file_id="file-1"), ".file.file_id"),
        (file(file_data="data:application/pdf;base64,AAAA"), ".file.file_data"),
        (file(file_data="data:application/msword;base64,AAAA", filename="a.doc"), ".file.file_data"),
        ({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}, ""),
        ({"type": "a_part_of_tomorrow"}, ""),
        ({"type": "tool_use", "id": "c", "name": "f", "input": {}}, None),
    ],
    ids=str,
)
def test_what_is_no_part_that_claude_takes_is_refused_and_its_place_named(part: Any, place: str | None) -> None:
    with pytest.raises(ApiError) as raised:
        said({"type": "text", "text": "see"}, part)

    where = "messages.0" if place is None else f"messages.0.content.1{place}"
    assert (raised.value.status, raised.value.param) == (400, where)


def test_a_detail_that_asks_for_something_is_named() -> None:
    parsed = chat({"role": "user", "content": [image({"url": IMAGE_URL, "detail": "low"})]})

    assert parsed.warnings == ("messages.0.content.0.image_url.detail: Claude has no such choice",)


def test_a_tool_may_answer_with_an_image_and_a_pdf() -> None:
    parts = [{"type": "text", "text": "here"}, image(), file(file_data=PAPER_URL)]

    job = chat(
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c", "content": parts},
    ).job

    content = (Text("here"), Image(IMAGE), Document({"source": PAPER}))
    assert job.turns[-1] == Turn("user", (ToolResult("c", content),))


def test_an_image_in_a_system_message_becomes_the_user_s() -> None:
    parsed = chat(
        {"role": "system", "content": [{"type": "text", "text": "Look."}, image()]}, {"role": "user", "content": "hi"}
    )

    assert parsed.job.system == "Look."
    assert parsed.job.turns == (Turn("user", (Image(IMAGE), Text("hi"))),)
    assert len(parsed.warnings) == 1


def test_an_assistant_s_image_is_refused() -> None:
    with pytest.raises(ApiError, match=r"messages\.1"):
        chat({"role": "user", "content": "draw"}, {"role": "assistant", "content": [image()]})


def test_a_refusal_of_the_past_is_what_the_assistant_said() -> None:
    job = chat(
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": None, "refusal": "I will not."},
        {"role": "user", "content": "b"},
    ).job

    assert job.turns[1] == Turn("assistant", (Text("I will not."),))


# As Cursor sends it for Claude's names.

MARK = {"cache_control": {"type": "ephemeral"}}
READ_FILE = {"name": "read_file", "description": "Read a file", "input_schema": {"type": "object"}, **MARK}


@pytest.mark.promise("chat.anthropic-parts")
def test_anthropic_s_blocks_in_a_chat_become_the_same_job() -> None:
    parsed = chat(
        {"role": "user", "content": [{"type": "text", "text": "read it", **MARK}]},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "redacted_thinking", "data": "d"},
                {"type": "text", "text": "Reading."},
                {"type": "tool_use", "id": "call_7", "name": "read_file", "input": {"path": "a"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "call_7", "content": [{"type": "text", "text": "print()"}]},
                {"type": "text", "text": "go on"},
            ],
        },
        system=[{"type": "text", "text": "be brief", **MARK}],
        tools=[READ_FILE],
        tool_choice={"type": "auto"},
        max_tokens=4096,
        stream=True,
    )

    call = ToolUse("call_7", "read_file", {"path": "a"})
    assert parsed.warnings == ()
    assert parsed.job.system == "be brief"
    assert parsed.job.tools == (Tool("read_file", "Read a file", {"type": "object"}),)
    assert parsed.job.turns == (
        Turn("user", (Text("read it"),)),
        Turn("assistant", (Thought("hm", "s"), RedactedThought("d"), Text("Reading."), call)),
        Turn("user", (ToolResult("call_7", (Text("print()"),)), Text("go on"))),
    )


def test_a_system_beside_the_messages_comes_before_the_system_messages() -> None:
    messages = ({"role": "system", "content": "two"}, {"role": "user", "content": "hi"})

    assert chat(*messages, system="one").job.system == "one\n\ntwo"
    assert chat(*messages, system=None).job.system == "two"


@pytest.mark.parametrize(
    ("choice", "mode", "name"),
    [
        ({"type": "any"}, "any", ""),
        ({"type": "tool", "name": "read_file"}, "tool", "read_file"),
        ({"type": "function", "function": {"name": "grep"}}, "tool", "grep"),
        ("required", "any", ""),
    ],
    ids=str,
)
def test_tools_and_choices_of_both_dialects_may_be_mixed(choice: Any, mode: str, name: str) -> None:
    nested = {"type": "function", "function": {"name": "ls", "parameters": {"type": "object"}}}
    flat = {"type": "function", "name": "grep", "parameters": {"type": "object"}}

    job = chat({"role": "user", "content": "hi"}, tools=[nested, flat, READ_FILE], tool_choice=choice).job

    assert [tool.name for tool in job.tools] == ["ls", "grep", "read_file"]
    assert job.tuning.tool_choice is not None
    assert (job.tuning.tool_choice.mode, job.tuning.tool_choice.name) == (mode, name)
