"""Text that replaces blocks which Claude does not accept."""

from typing import Any

import pytest

from claude_gateway.dialects.common.content.block_text import render_as_text

SEARCH_RESULT = {"type": "web_search_result", "url": "u", "title": "t", "encrypted_content": "AAAA", "page_age": None}
PDF = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "All\nof it"}, "title": "T"}
SCREENSHOT = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A" * 1_000}}


@pytest.mark.parametrize(
    ("kind", "fields", "expected_text"),
    [
        ("search_result", {"source": "s", "content": [{"type": "text", "text": "a"}]}, "source: s\n\na"),
        ("server_tool_use", {"id": "s", "name": "web_search", "input": {"query": "q"}}, "name: web_search\nquery: q"),
        ("mcp_tool_use", {"name": "n", "input": {"a": [1, {"b": "ü"}]}}, 'name: n\ninput: {"a": [1, {"b": "ü"}]}'),
        (
            "web_search_tool_result",
            {"tool_use_id": "s", "content": [SEARCH_RESULT, SEARCH_RESULT]},
            "url: u\ntitle: t\n\nurl: u\ntitle: t",
        ),
        (
            "web_search_tool_result",
            {"content": {"type": "web_search_tool_result_error", "error_code": "unavailable"}},
            "type: web_search_tool_result_error\nerror_code: unavailable",
        ),
        (
            "web_fetch_tool_result",
            {"content": {"type": "web_fetch_result", "url": "u", "content": PDF}},
            "url: u\nAll\nof it\ntitle: T",
        ),
        (
            "mcp_tool_result",
            {"is_error": False, "content": [{"type": "text", "text": "a"}, SCREENSHOT]},
            "a\n\ntype: image\n(omitted: not a text)",
        ),
        (
            "bash_code_execution_tool_result",
            {"content": {"stdout": "3", "stderr": "", "return_code": 0}},
            "stdout: 3\nreturn_code: 0",
        ),
        (
            "tool_search_tool_result",
            {"content": {"tool_references": [{"type": "tool_reference", "tool_name": "f"}]}},
            "Found tool: f",
        ),
        (
            "file_search_call",
            {"status": "completed", "queries": ["a", "b"], "results": [{"file_id": "f", "filename": "n", "text": "x"}]},
            'queries: ["a", "b"]\n\nfilename: n\nx',
        ),
        (
            "mcp_call",
            {"name": "n", "arguments": '{"a":1}', "output": "out", "error": None},
            'name: n\narguments: {"a":1}\nout',
        ),
        (
            "image_generation_call",
            {"result": "A" * 2_000, "revised_prompt": "cat"},
            "(omitted: not a text)\nrevised_prompt: cat",
        ),
        ("code_interpreter_call", {"status": "failed", "code": "1/0", "outputs": None}, "status: failed\ncode: 1/0"),
    ],
)
def test_renders_all_readable_text_of_a_block(kind: str, fields: dict[str, Any], expected_text: str) -> None:
    assert render_as_text(kind, {"type": kind, **fields}) == f"<{kind}>\n{expected_text}\n</{kind}>"


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"id": "x", "status": "completed"},
        {"encrypted_content": "x"},
        {"content": []},
        {"content": [{"type": "text", "text": " "}]},
    ],
)
def test_renders_empty_text_for_block_without_text(fields: dict[str, Any]) -> None:
    assert render_as_text("compaction", {"type": "compaction", **fields}) == ""


def test_renders_deeply_nested_text() -> None:
    deep: Any = "bottom"
    for _ in range(240):
        deep = {"x": deep}

    assert "bottom" in render_as_text("mcp_call", {"output": deep})
