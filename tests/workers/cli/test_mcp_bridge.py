"""Client tools and remote tools as an MCP server inside the gateway."""

import pytest

from workers.cli.mcp_bridge import build_call_response, handle_mcp_message
from workers.core.job import Image, RemoteToolResult, Text, ToolDefinition

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


def test_lists_tools_with_their_schemas_as_read_only() -> None:
    reply = handle_mcp_message((ToolDefinition("weather", "about it", SCHEMA),), {"method": "tools/list", "id": 4})
    assert reply is not None
    (tool,) = reply["result"]["tools"]
    assert (reply["id"], tool["name"], tool["description"], tool["inputSchema"]) == (
        *(4, "weather", "about it", SCHEMA),
    )
    assert tool["annotations"] == {"readOnlyHint": True}


def test_leaves_a_tool_call_open() -> None:
    assert handle_mcp_message((), {"method": "tools/call", "id": 5, "params": {"name": "weather"}}) is None


@pytest.mark.parametrize("method", ["notifications/initialized", "ping", "resources/list"])
def test_answers_other_methods_with_an_empty_result(method: str) -> None:
    assert handle_mcp_message((), {"method": method, "id": 6}) == {"jsonrpc": "2.0", "id": 6, "result": {}}


def test_sends_the_result_of_a_remote_tool_to_its_call() -> None:
    call = {"request_id": "r1", "request": {"message": {"id": 7, "method": "tools/call"}}}
    picture = Image({"type": "base64", "media_type": "image/png", "data": "AAAA"})

    frame = build_call_response(call, RemoteToolResult((Text("seen"), picture), is_error=True))

    assert frame["response"]["request_id"] == "r1"
    assert frame["response"]["response"]["mcp_response"] == {
        "jsonrpc": "2.0",
        "id": 7,
        "result": {
            "content": [
                {"type": "text", "text": "seen"},
                {"type": "image", "data": "AAAA", "mimeType": "image/png"},
            ],
            "isError": True,
        },
    }
