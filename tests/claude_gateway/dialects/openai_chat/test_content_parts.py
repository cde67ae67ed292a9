"""Content of a chat message: OpenAI's parts, and Anthropic's blocks, which Cursor sends."""

from typing import Any

import pytest

from claude_gateway.core.errors import ApiError
from claude_gateway.devtools.cli_contract.sample_media import encode_base64, make_pdf, make_png
from claude_gateway.dialects.openai_chat.parse import ParsedChatRequest, parse
from claude_gateway.dialects.openai_chat.schema import ChatRequest
from workers.core.job import (
    Block,
    Document,
    Image,
    RedactedThinkingBlock,
    Text,
    ThinkingBlock,
    ToolDefinition,
    ToolResult,
    ToolUse,
    Turn,
)

MODEL = "claude-sonnet-4-5-20250929"
IMAGE = {"type": "base64", "media_type": "image/png", "data": encode_base64(make_png())}
PDF = {"type": "base64", "media_type": "application/pdf", "data": encode_base64(make_pdf())}
IMAGE_URL = f"data:image/png;base64,{IMAGE['data']}"
PDF_URL = f"data:application/pdf;base64,{PDF['data']}"
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def parse_chat(*messages: dict[str, Any], **parameters: Any) -> ParsedChatRequest:
    return parse(ChatRequest.model_validate({"model": MODEL, "messages": messages, **parameters}), "key_1", MODEL)


def convert_parts(*parts: Any) -> list[Block]:
    """Return the blocks of a user message with these parts."""
    return list(parse_chat({"role": "user", "content": list(parts)}).job.turns[0].blocks)


def image_part(url: Any = IMAGE_URL, **fields: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": url, **fields}


def file_part(**fields: str) -> dict[str, Any]:
    return {"type": "file", "file": fields}


@pytest.mark.parametrize(
    ("part", "block"),
    [
        (image_part({"url": IMAGE_URL, "detail": "high"}), Image(IMAGE)),
        (image_part(), Image(IMAGE)),
        (image_part({"url": IMAGE_URL}, cache_control={"type": "ephemeral"}), Image(IMAGE)),
        (image_part({"url": PDF_URL}), Document({"source": PDF})),
        (file_part(file_data=PDF_URL, filename="a.pdf"), Document({"source": PDF, "title": "a.pdf"})),
        (file_part(file_data=PDF["data"]), Document({"source": PDF})),
        (file_part(file_data=IMAGE_URL, filename="a.png"), Image(IMAGE)),
        ({"type": "image", "source": IMAGE}, Image(IMAGE)),
        ({"type": "document", "source": PDF}, Document({"source": PDF})),
        ({"type": "refusal", "refusal": "no"}, Text("no")),
    ],
)
def test_converts_each_content_part(part: dict[str, Any], block: Block) -> None:
    assert convert_parts({"type": "text", "text": "see"}, part) == [Text("see"), block]


@pytest.mark.parametrize(
    ("part", "part_path"),
    [
        ({"type": "text"}, ""),
        ({"type": "text", "text": 5}, ""),
        (image_part(None), ""),
        (image_part({"detail": "low"}), ""),
        (image_part("https"), ".image_url"),
        (image_part("data:image/gif;base64," + IMAGE["data"]), ".image_url"),
        (image_part("data:image/png;base64,%%%"), ".image_url"),
        (file_part(), ""),
        (file_part(file_id="file-1"), ".file.file_id"),
        (file_part(file_data="data:application/pdf;base64,AAAA"), ".file.file_data"),
        (file_part(file_data="data:application/msword;base64,AAAA", filename="a.doc"), ".file.file_data"),
        ({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}, ""),
        ({"type": "unknown_part"}, ""),
        ({"type": "tool_use", "id": "c", "name": "f", "input": {}}, None),
    ],
    ids=str,
)
def test_rejects_unsupported_part_with_its_field_path(part: Any, part_path: str | None) -> None:
    with pytest.raises(ApiError) as raised:
        convert_parts({"type": "text", "text": "see"}, part)

    field_path = "messages.0" if part_path is None else f"messages.0.content.1{part_path}"
    assert (raised.value.status, raised.value.param) == (400, field_path)


def test_warns_about_image_detail_with_an_effect() -> None:
    parsed = parse_chat({"role": "user", "content": [image_part({"url": IMAGE_URL, "detail": "low"})]})

    assert parsed.warnings == ("messages.0.content.0.image_url.detail: ignored (Claude has no such choice)",)


def test_tool_result_may_contain_image_and_pdf() -> None:
    parts = [{"type": "text", "text": "here"}, image_part(), file_part(file_data=PDF_URL)]

    job = parse_chat(
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c", "content": parts},
    ).job

    content = (Text("here"), Image(IMAGE), Document({"source": PDF}))
    assert job.turns[-1] == Turn("user", (ToolResult("c", content),))


def test_moves_image_of_system_message_into_the_user_message() -> None:
    parsed = parse_chat(
        {"role": "system", "content": [{"type": "text", "text": "Look."}, image_part()]},
        {"role": "user", "content": "hi"},
    )

    assert parsed.job.system == "Look."
    assert parsed.job.turns == (Turn("user", (Image(IMAGE), Text("hi"))),)
    assert len(parsed.warnings) == 1


def test_rejects_image_in_assistant_message() -> None:
    with pytest.raises(ApiError, match=r"messages\.1"):
        parse_chat({"role": "user", "content": "draw"}, {"role": "assistant", "content": [image_part()]})


def test_earlier_refusal_becomes_assistant_text() -> None:
    job = parse_chat(
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": None, "refusal": "I will not."},
        {"role": "user", "content": "b"},
    ).job

    assert job.turns[1] == Turn("assistant", (Text("I will not."),))


# Cursor sends this format to models with a Claude name.

CACHE_MARK = {"cache_control": {"type": "ephemeral"}}
READ_FILE = {"name": "read_file", "description": "Read a file", "input_schema": {"type": "object"}, **CACHE_MARK}


@pytest.mark.promise("chat.anthropic-parts")
def test_anthropic_blocks_in_a_chat_make_the_same_job() -> None:
    parsed = parse_chat(
        {"role": "user", "content": [{"type": "text", "text": "read it", **CACHE_MARK}]},
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
        system=[{"type": "text", "text": "be brief", **CACHE_MARK}],
        tools=[READ_FILE],
        tool_choice={"type": "auto"},
        max_tokens=4096,
        stream=True,
    )

    call = ToolUse("call_7", "read_file", {"path": "a"})
    assert parsed.warnings == ()
    assert parsed.job.system == "be brief"
    assert parsed.job.tools == (ToolDefinition("read_file", "Read a file", {"type": "object"}),)
    assert parsed.job.turns == (
        Turn("user", (Text("read it"),)),
        Turn("assistant", (ThinkingBlock("hm", "s"), RedactedThinkingBlock("d"), Text("Reading."), call)),
        Turn("user", (ToolResult("call_7", (Text("print()"),)), Text("go on"))),
    )


def test_top_level_system_precedes_system_messages() -> None:
    messages = ({"role": "system", "content": "two"}, {"role": "user", "content": "hi"})

    assert parse_chat(*messages, system="one").job.system == "one\n\ntwo"
    assert parse_chat(*messages, system=None).job.system == "two"


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
def test_accepts_tools_and_choices_of_both_dialects_together(choice: Any, mode: str, name: str) -> None:
    nested = {"type": "function", "function": {"name": "ls", "parameters": {"type": "object"}}}
    flat = {"type": "function", "name": "grep", "parameters": {"type": "object"}}

    job = parse_chat({"role": "user", "content": "hi"}, tools=[nested, flat, READ_FILE], tool_choice=choice).job

    assert [tool.name for tool in job.tools] == ["ls", "grep", "read_file"]
    assert job.params.tool_choice is not None
    assert (job.params.tool_choice.mode, job.params.tool_choice.name) == (mode, name)
