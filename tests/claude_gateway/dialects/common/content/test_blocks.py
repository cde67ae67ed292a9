"""Parsing of content blocks of the Messages API, and rejection of invalid ones."""

from typing import Any

import pytest

from claude_gateway.core.errors import ApiError
from claude_gateway.devtools.cli_contract.sample_media import encode_base64, make_pdf, make_png
from claude_gateway.dialects.common.content.blocks import join_system_text, parse_blocks
from workers.core.job import (
    Block,
    Document,
    Image,
    RedactedThinkingBlock,
    Role,
    Text,
    ThinkingBlock,
    ToolResult,
    ToolUse,
)

IMAGE = {"type": "base64", "media_type": "image/png", "data": encode_base64(make_png())}
PDF = {"type": "base64", "media_type": "application/pdf", "data": encode_base64(make_pdf())}
FIELD_PATH = "messages.0.content"
URL = "https://example.com/a"


def convert_block(block: dict[str, Any], role: Role = "user", notes: list[str] | None = None) -> list[Block]:
    return parse_blocks(role, [block], FIELD_PATH, notes if notes is not None else [])


def tool_result(content: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": "t", "content": content}


def document(source: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"type": "document", "source": source, **fields}


STORED_IMAGE = {"url": URL, "type": "url", "field_path": f"{FIELD_PATH}.0.source", "extra_fields": {}}
STORED_PDF = Image({**STORED_IMAGE, "extra_fields": {"title": "t", "context": "c"}})
VALID: dict[str, tuple[Role, dict[str, Any], Block]] = {
    "text": ("user", {"type": "text", "text": "hi"}, Text("hi")),
    "image": ("user", {"type": "image", "source": IMAGE}, Image(IMAGE)),
    "image by url": ("user", {"type": "image", "source": {"type": "url", "url": URL}}, Image(STORED_IMAGE)),
    "pdf": ("user", document(PDF), Document({"source": PDF})),
    "pdf by url": ("user", document({"type": "url", "url": URL}, title="t", context="c"), STORED_PDF),
    "pdf with other fields": (
        "user",
        document(PDF, title="t", context="c", citations={"enabled": False}, unknown=1),
        Document({"source": PDF, "title": "t", "context": "c"}),
    ),
    "text document": (
        "user",
        document({"type": "text", "media_type": "text/plain", "data": "a"}, title=" ", context=""),
        Document({"source": {"type": "text", "media_type": "text/plain", "data": "a"}}),
    ),
    "document of blocks": (
        "user",
        document({"type": "content", "content": [{"type": "text", "text": "a"}, {"type": "image", "source": IMAGE}]}),
        Document(
            {
                "source": {
                    "type": "content",
                    "content": [{"type": "text", "text": "a"}, {"type": "image", "source": IMAGE}],
                }
            }
        ),
    ),
    "document of a string": (
        "user",
        document({"type": "content", "content": "a"}),
        Document({"source": {"type": "content", "content": [{"type": "text", "text": "a"}]}}),
    ),
    "thinking": ("assistant", {"type": "thinking", "thinking": "hm", "signature": "s"}, ThinkingBlock("hm", "s")),
    "redacted thinking": ("assistant", {"type": "redacted_thinking", "data": "d"}, RedactedThinkingBlock("d")),
    "call": ("assistant", {"type": "tool_use", "id": "t", "name": "f", "input": {}}, ToolUse("t", "f", {})),
    "result": ("user", tool_result("ok"), ToolResult("t", (Text("ok"),))),
    "result without content": ("user", tool_result(None), ToolResult("t", ())),
    "result with all types of content": (
        "user",
        tool_result([{"type": "text", "text": "ok"}, {"type": "image", "source": IMAGE}, document(PDF)]),
        ToolResult("t", (Text("ok"), Image(IMAGE), Document({"source": PDF}))),
    ),
    "error": ("user", {**tool_result("no"), "is_error": True}, ToolResult("t", (Text("no"),), is_error=True)),
}


@pytest.mark.parametrize("name", VALID)
def test_converts_each_block_type(name: str) -> None:
    role, block_json, block = VALID[name]

    assert convert_block(block_json, role) == [block]


@pytest.mark.parametrize("name", VALID)
def test_cache_control_changes_no_block(name: str) -> None:
    role, block_json, block = VALID[name]

    assert convert_block({**block_json, "cache_control": {"type": "ephemeral", "ttl": "1h"}}, role) == [block]


INVALID: dict[str, tuple[Role, dict[str, Any], str]] = {
    "no type": ("user", {"text": "hi"}, "0"),
    "text without text": ("user", {"type": "text"}, "0"),
    "image without source": ("user", {"type": "image"}, "0"),
    "image of the files api": ("user", {"type": "image", "source": {"type": "file", "file_id": "f"}}, "0.source"),
    "image with an unknown source": ("user", {"type": "image", "source": {"type": "x"}}, "0.source"),
    "image that is a pdf": ("user", {"type": "image", "source": PDF}, "0.source"),
    "image over http": ("user", {"type": "image", "source": {"type": "url", "url": "http://example.com"}}, "0.source"),
    "document of the files api": ("user", document({"type": "file", "file_id": "f"}), "0.source"),
    "document that is an image": ("user", document(IMAGE), "0.source"),
    "invalid document": ("user", document({**PDF, "data": "AAAA"}), "0.source"),
    "document without data": ("user", document({"type": "text"}), "0.source"),
    "blank document": ("user", document({"type": "text", "data": " "}), "0.source"),
    "document without content": ("user", document({"type": "content", "content": []}), "0.source.content"),
    "document of a document": (
        "user",
        document({"type": "content", "content": [document(PDF)]}),
        "0.source.content.0",
    ),
    "document of an image by url": (
        "user",
        document({"type": "content", "content": [{"type": "image", "source": {"type": "url", "url": URL}}]}),
        "0.source.content.0",
    ),
    "redacted thinking without data": ("assistant", {"type": "redacted_thinking"}, "0"),
    "call without a name": ("assistant", {"type": "tool_use", "id": "t", "input": {}}, "0"),
    "result without a call id": ("user", {"type": "tool_result"}, "0"),
    "result of a number": ("user", tool_result(5), "0.content"),
    "result of strings": ("user", tool_result(["a"]), "0.content.0"),
    "result of a call": ("user", tool_result([VALID["call"][1]]), "0.content.0"),
    "image in a result with a wrong type": (
        "user",
        tool_result([{"type": "image", "source": {**IMAGE, "media_type": "image/gif"}}]),
        "0.content.0.source",
    ),
    "call in a user message": ("user", VALID["call"][1], "0"),
    "thinking in a user message": ("user", VALID["thinking"][1], "0"),
    "image in an assistant message": ("assistant", VALID["image"][1], "0"),
    "result in an assistant message": ("assistant", VALID["result"][1], "0"),
}


@pytest.mark.parametrize("name", INVALID)
def test_rejects_invalid_or_misplaced_block_with_its_field_path(name: str) -> None:
    role, block_json, field_path = INVALID[name]

    with pytest.raises(ApiError) as raised:
        convert_block(block_json, role)

    assert (raised.value.status, raised.value.param) == (400, f"{FIELD_PATH}.{field_path}")


@pytest.mark.parametrize(
    "block_json",
    [
        {"type": "server_tool_use", "id": "s"},
        {"type": "future_block"},
        {"type": "thinking", "thinking": "hm"},
        {"type": "thinking", "thinking": "hm", "signature": ""},
    ],
    ids=str,
)
def test_omits_unsupported_block_with_a_note(block_json: dict[str, Any]) -> None:
    notes: list[str] = []

    assert convert_block(block_json, "assistant", notes) == []
    assert len(notes) == 1


def test_notes_that_citations_are_not_supported() -> None:
    notes: list[str] = []

    assert convert_block(document(PDF, citations={"enabled": True}), "user", notes) == [Document({"source": PDF})]
    assert notes == [f"{FIELD_PATH}.0.citations: ignored (not supported by this version)"]


@pytest.mark.parametrize(
    ("system", "text"),
    [
        (None, ""),
        (" ", ""),
        ("a", "a"),
        ([{"type": "text", "text": "a"}, {"type": "text", "text": " "}, {"type": "text", "text": "b"}], "a\n\nb"),
        ([{"type": "text", "text": "x-anthropic-billing-header: cc_version=1;"}, {"type": "text", "text": "a"}], "a"),
    ],
)
def test_joins_system_prompt_blocks_to_one_text(system: Any, text: str) -> None:
    notes: list[str] = []

    assert (join_system_text(system, notes), notes) == (text, [])


def test_omits_non_text_block_of_system_prompt_with_a_note() -> None:
    notes: list[str] = []

    assert join_system_text([{"type": "image", "source": IMAGE}, {"type": "text", "text": "a"}], notes) == "a"
    assert len(notes) == 1


@pytest.mark.parametrize("system", [5, {}, ["a"], [{"type": "text"}]], ids=str)
def test_rejects_invalid_system_prompt(system: Any) -> None:
    with pytest.raises(ApiError, match="system"):
        join_system_text(system, [])
