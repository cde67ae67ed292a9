"""The client's tools as an MCP server."""

import pytest

from workers.job import Image, RemoteResult, Text, Tool
from workers.tool_bridge import answer, call_answer

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


def test_the_tools_are_listed_with_their_schemas_and_so_that_calls_come_together() -> None:
    reply = answer((Tool("weather", "about it", SCHEMA),), {"method": "tools/list", "id": 4})
    assert reply is not None
    (listed,) = reply["result"]["tools"]
    assert (reply["id"], listed["name"], listed["description"], listed["inputSchema"]) == (
        *(4, "weather", "about it", SCHEMA),
    )
    assert listed["annotations"] == {"readOnlyHint": True}


def test_a_call_stays_open() -> None:
    assert answer((), {"method": "tools/call", "id": 5, "params": {"name": "weather"}}) is None


@pytest.mark.parametrize("method", ["notifications/initialized", "ping", "resources/list"])
def test_whatever_else_is_asked_gets_an_empty_answer(method: str) -> None:
    assert answer((), {"method": method, "id": 6}) == {"jsonrpc": "2.0", "id": 6, "result": {}}


def test_what_was_carried_out_elsewhere_is_answered_to_the_call_it_was_asked_by() -> None:
    call = {"request_id": "r1", "request": {"message": {"id": 7, "method": "tools/call"}}}
    picture = Image({"type": "base64", "media_type": "image/png", "data": "AAAA"})

    frame = call_answer(call, RemoteResult((Text("seen"), picture), is_error=True))

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
