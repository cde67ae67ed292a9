"""Content blocks of the Messages API: what each becomes, and what is refused where."""

from typing import Any

import pytest

from claude_gateway.cli_facts.pictures import base64, pdf, png
from claude_gateway.errors import ApiError
from claude_gateway.prompt.blocks import read_blocks, system_text
from workers.job import Block, Document, Image, RedactedThought, Role, Text, Thought, ToolResult, ToolUse

PICTURE = {"type": "base64", "media_type": "image/png", "data": base64(png())}
PAPER = {"type": "base64", "media_type": "application/pdf", "data": base64(pdf())}
WHERE = "messages.0.content"
URL = "https://example.com/a"


def read(block: dict[str, Any], role: Role = "user", notes: list[str] | None = None) -> list[Block]:
    return read_blocks(role, [block], WHERE, notes if notes is not None else [])


def result(content: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": "t", "content": content}


def document(source: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "document", "source": source, **more}


THERE = {"url": URL, "type": "url", "place": f"{WHERE}.0.source", "more": {}}
PDF_THERE = Image({**THERE, "more": {"title": "t", "context": "c"}})
TAKEN: dict[str, tuple[Role, dict[str, Any], Block]] = {
    "text": ("user", {"type": "text", "text": "hi"}, Text("hi")),
    "image": ("user", {"type": "image", "source": PICTURE}, Image(PICTURE)),
    "image by url": ("user", {"type": "image", "source": {"type": "url", "url": URL}}, Image(THERE)),
    "pdf": ("user", document(PAPER), Document({"source": PAPER})),
    "pdf by url": ("user", document({"type": "url", "url": URL}, title="t", context="c"), PDF_THERE),
    "pdf with more": (
        "user",
        document(PAPER, title="t", context="c", citations={"enabled": False}, unknown=1),
        Document({"source": PAPER, "title": "t", "context": "c"}),
    ),
    "text document": (
        "user",
        document({"type": "text", "media_type": "text/plain", "data": "a"}, title=" ", context=""),
        Document({"source": {"type": "text", "media_type": "text/plain", "data": "a"}}),
    ),
    "document of blocks": (
        "user",
        document({"type": "content", "content": [{"type": "text", "text": "a"}, {"type": "image", "source": PICTURE}]}),
        Document(
            {
                "source": {
                    "type": "content",
                    "content": [{"type": "text", "text": "a"}, {"type": "image", "source": PICTURE}],
                }
            }
        ),
    ),
    "document of a string": (
        "user",
        document({"type": "content", "content": "a"}),
        Document({"source": {"type": "content", "content": [{"type": "text", "text": "a"}]}}),
    ),
    "thought": ("assistant", {"type": "thinking", "thinking": "hm", "signature": "s"}, Thought("hm", "s")),
    "redacted thought": ("assistant", {"type": "redacted_thinking", "data": "d"}, RedactedThought("d")),
    "call": ("assistant", {"type": "tool_use", "id": "t", "name": "f", "input": {}}, ToolUse("t", "f", {})),
    "result": ("user", result("ok"), ToolResult("t", (Text("ok"),))),
    "result of nothing": ("user", result(None), ToolResult("t", ())),
    "result of everything": (
        "user",
        result([{"type": "text", "text": "ok"}, {"type": "image", "source": PICTURE}, document(PAPER)]),
        ToolResult("t", (Text("ok"), Image(PICTURE), Document({"source": PAPER}))),
    ),
    "error": ("user", {**result("no"), "is_error": True}, ToolResult("t", (Text("no"),), is_error=True)),
}


@pytest.mark.parametrize("name", TAKEN)
def test_a_block_becomes_what_it_is(name: str) -> None:
    role, raw, block = TAKEN[name]

    assert read(raw, role) == [block]


@pytest.mark.parametrize("name", TAKEN)
def test_a_cache_mark_changes_nothing(name: str) -> None:
    role, raw, block = TAKEN[name]

    assert read({**raw, "cache_control": {"type": "ephemeral", "ttl": "1h"}}, role) == [block]


BROKEN: dict[str, tuple[Role, dict[str, Any], str]] = {
    "no type": ("user", {"text": "hi"}, "0"),
    "text without text": ("user", {"type": "text"}, "0"),
    "image without source": ("user", {"type": "image"}, "0"),
    "image of the files api": ("user", {"type": "image", "source": {"type": "file", "file_id": "f"}}, "0.source"),
    "image of a source of tomorrow": ("user", {"type": "image", "source": {"type": "x"}}, "0.source"),
    "image that is a pdf": ("user", {"type": "image", "source": PAPER}, "0.source"),
    "image over http": ("user", {"type": "image", "source": {"type": "url", "url": "http://example.com"}}, "0.source"),
    "document of the files api": ("user", document({"type": "file", "file_id": "f"}), "0.source"),
    "document that is an image": ("user", document(PICTURE), "0.source"),
    "document that is none": ("user", document({**PAPER, "data": "AAAA"}), "0.source"),
    "document without data": ("user", document({"type": "text"}), "0.source"),
    "blank document": ("user", document({"type": "text", "data": " "}), "0.source"),
    "document of nothing": ("user", document({"type": "content", "content": []}), "0.source.content"),
    "document of a document": (
        "user",
        document({"type": "content", "content": [document(PAPER)]}),
        "0.source.content.0",
    ),
    "document of an image by url": (
        "user",
        document({"type": "content", "content": [{"type": "image", "source": {"type": "url", "url": URL}}]}),
        "0.source.content.0",
    ),
    "redacted thought without data": ("assistant", {"type": "redacted_thinking"}, "0"),
    "call without a name": ("assistant", {"type": "tool_use", "id": "t", "input": {}}, "0"),
    "result of no call": ("user", {"type": "tool_result"}, "0"),
    "result of a number": ("user", result(5), "0.content"),
    "result of strings": ("user", result(["a"]), "0.content.0"),
    "result of a call": ("user", result([TAKEN["call"][1]]), "0.content.0"),
    "image in a result that lies": (
        "user",
        result([{"type": "image", "source": {**PICTURE, "media_type": "image/gif"}}]),
        "0.content.0.source",
    ),
    "call of the user's": ("user", TAKEN["call"][1], "0"),
    "thought of the user's": ("user", TAKEN["thought"][1], "0"),
    "image of the assistant's": ("assistant", TAKEN["image"][1], "0"),
    "result of the assistant's": ("assistant", TAKEN["result"][1], "0"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_or_stands_wrong_is_refused_and_its_place_named(name: str) -> None:
    role, raw, place = BROKEN[name]

    with pytest.raises(ApiError) as raised:
        read(raw, role)

    assert (raised.value.status, raised.value.param) == (400, f"{WHERE}.{place}")


@pytest.mark.parametrize(
    "raw",
    [
        {"type": "server_tool_use", "id": "s"},
        {"type": "a_block_of_tomorrow"},
        {"type": "thinking", "thinking": "hm"},
        {"type": "thinking", "thinking": "hm", "signature": ""},
    ],
    ids=str,
)
def test_what_cannot_be_passed_on_is_left_out_and_named(raw: dict[str, Any]) -> None:
    notes: list[str] = []

    assert read(raw, "assistant", notes) == []
    assert len(notes) == 1


def test_citations_are_named_as_missing() -> None:
    notes: list[str] = []

    assert read(document(PAPER, citations={"enabled": True}), "user", notes) == [Document({"source": PAPER})]
    assert notes == [f"{WHERE}.0.citations: not supported by this version"]


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
def test_a_system_prompt_is_one_text(system: Any, text: str) -> None:
    notes: list[str] = []

    assert (system_text(system, notes), notes) == (text, [])


def test_what_is_no_text_in_a_system_prompt_is_left_out_and_named() -> None:
    notes: list[str] = []

    assert system_text([{"type": "image", "source": PICTURE}, {"type": "text", "text": "a"}], notes) == "a"
    assert len(notes) == 1


@pytest.mark.parametrize("system", [5, {}, ["a"], [{"type": "text"}]], ids=str)
def test_what_is_no_system_prompt_is_refused(system: Any) -> None:
    with pytest.raises(ApiError, match="system"):
        system_text(system, [])
