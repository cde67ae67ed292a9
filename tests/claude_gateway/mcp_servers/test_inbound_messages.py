"""Reduction of messages before the `mcp` package validates them."""

from dataclasses import dataclass
from typing import Any, Self

import pytest

from claude_gateway.mcp_servers.inbound_limit import InboundLimiter, InboundLimitExceeded
from claude_gateway.mcp_servers.inbound_messages import InboundMessages, drop_unused_fields
from claude_gateway.mcp_servers.limits import McpLimits

LIMITS = McpLimits(max_result_parts=3, max_list_entries=5)


@dataclass
class FakeRequest:
    method: str
    params: dict[str, Any] | None


@dataclass
class FakeResponse:
    result: dict[str, Any]


@dataclass
class FakeItem:
    message: Any


class FakeStream:
    def __init__(self, *messages: Any) -> None:
        self._items = [FakeItem(message) for message in messages]

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        if not self._items:
            raise StopAsyncIteration
        return self._items.pop(0)


async def receive(message: Any) -> Any:
    limiter = InboundLimiter(LIMITS, lambda: 0.0, lambda _: None)
    (item,) = [item async for item in InboundMessages(FakeStream(message), limiter)]
    return item.message


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        ({"content": [{}] * 4}, "more than 3 parts"),
        ({"tools": [{}] * 6}, "more than 5 entries"),
        ({"resources": [{}] * 6}, "more than 5 entries"),
        ({"whatever": [0] * 6}, "more than 5 entries"),
    ],
)
async def test_list_beyond_the_limits_disconnects_the_server(result: dict[str, Any], reason: str) -> None:
    with pytest.raises(InboundLimitExceeded, match=reason):
        await receive(FakeResponse(result))


async def test_drops_unused_fields_of_requests_and_notifications() -> None:
    assert await receive(FakeRequest("sampling/createMessage", {"messages": [{}]})) == FakeRequest(
        "sampling/createMessage", None
    )
    assert await receive(FakeRequest("ping", {"_meta": {}})) == FakeRequest("ping", {"_meta": {}})


def test_keeps_used_fields_of_list_entries() -> None:
    text = {"type": "text", "text": "x"}
    unused = {"icons": [{}], "annotations": {"audience": [""]}, "_meta": {}}
    result = {
        "content": [text | unused, {"type": "resource", "resource": {"uri": "a:b", "text": "y"} | unused}],
        "serverInfo": {"name": "a"} | unused,
        "structuredContent": {"a": dict(unused)} | unused,
    }

    drop_unused_fields(result)

    assert result == {
        "content": [text, {"type": "resource", "resource": {"uri": "a:b", "text": "y"}}],
        "serverInfo": {"name": "a"},
        "structuredContent": {"a": unused} | unused,
    }
