"""Conversion of tools and results of untrusted servers for the model."""

import re
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from claude_gateway.devtools.cli_contract.sample_media import encode_base64, make_png
from claude_gateway.mcp_servers.catalog import parse_mcp_tools, parse_tool_result, qualified_tool_name, select_tools
from claude_gateway.mcp_servers.limits import McpLimits
from tests.mcp_programs.misbehaving_server import INVALID_TOOLS, TOOL
from workers.core.job import Image, Text, ToolDefinition

API_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
LIMITS = McpLimits()


def render_result(raw_result: dict[str, Any], limits: McpLimits = LIMITS) -> list[str]:
    blocks = parse_tool_result(raw_result, limits).content
    return [block.text if isinstance(block, Text) else "image" for block in blocks]


@given(st.lists(st.text(min_size=1, max_size=200), unique=True, max_size=6))
def test_every_tool_name_is_valid_for_the_api_and_unique(names: list[str]) -> None:
    qualified_names = [qualified_tool_name("s" * 64, name) for name in names]

    assert all(API_NAME.fullmatch(name) for name in qualified_names)
    assert len(set(qualified_names)) == len(names)


def test_keeps_tool_name_that_is_valid_for_the_api() -> None:
    assert qualified_tool_name("files", "read-file_2") == "mcp__files__read-file_2"


def test_keeps_only_tools_that_the_upstream_accepts() -> None:
    tools, skipped_count = parse_mcp_tools("s", INVALID_TOOLS, LIMITS)

    assert [mcp_tool.server_tool_name for mcp_tool in tools] == ["look", "../../etc/passwd", "l" * 120, "talks"]
    assert skipped_count == 5
    assert tools[0].tool.description == "Looks."
    assert len(tools[3].tool.description) <= 64 * 1024


def test_limits_number_and_size_of_tools() -> None:
    tool_objects = [{**TOOL, "name": f"t{n}"} for n in range(1_000)]

    tools, skipped_count = parse_mcp_tools("s", tool_objects, LIMITS)

    assert (len(tools), skipped_count) == (128, 872)
    assert len(parse_mcp_tools("s", tool_objects, replace(LIMITS, max_catalog_bytes=400))[0]) == 10


def test_skips_tools_that_are_invalid_objects() -> None:
    assert parse_mcp_tools("s", [{}, {"name": 3, "inputSchema": {}}, {"name": "a", "inputSchema": []}], LIMITS) == (
        (),
        3,
    )


def test_selects_tools_by_name_or_server() -> None:
    tools = tuple(ToolDefinition(name, "", {}) for name in ("mcp__a__x", "mcp__a__y", "mcp__ab__x"))

    assert select_tools(tools, ["mcp__a__y", "Read"]) == tools[1:2]
    assert select_tools(tools, ["mcp__a"]) == select_tools(tools, ["mcp__a__*"]) == tools[:2]
    assert select_tools(tools, ["mcp__"]) == select_tools(tools, []) == ()


def test_converts_result_to_texts_and_images() -> None:
    raw_result = {
        "content": [
            {"type": "text", "text": "one"},
            {"type": "image", "data": encode_base64(make_png()), "mimeType": "image/png"},
            {"type": "resource", "resource": {"uri": "a://b", "text": "two"}},
            {"type": "audio", "data": "", "mimeType": "audio/wav"},
        ]
    }
    result = parse_tool_result(raw_result, LIMITS)

    assert [type(block) for block in result.content] == [Text, Image, Text, Text]
    assert render_result(raw_result)[::2] == ["one", "two"]
    assert not result.is_error


def test_renders_content_that_the_upstream_rejects_as_text() -> None:
    assert render_result({"content": []}) == render_result({"content": [{"type": "text", "text": " "}]}) != []
    assert render_result({"content": [{"type": "image", "data": "!", "mimeType": "image/png"}]})[0].startswith(
        "(An image"
    )
    assert render_result({"content": [{"type": "text", "text": "a\ud800b"}]}) == ["a\N{REPLACEMENT CHARACTER}b"]
    assert render_result({"structuredContent": {"a": 1}}) == ['{"a":1}']


def test_too_large_result_becomes_an_error_that_names_its_size() -> None:
    result = parse_tool_result(
        {"content": [{"type": "text", "text": "x" * 2_000}]}, replace(LIMITS, max_result_bytes=1_000)
    )

    assert result.is_error
    assert "2000 bytes" in str(result.content)
