"""What a server sends is small before it is held against the types of the protocol."""

from dataclasses import dataclass
from typing import Any, Self

import pytest

from claude_gateway.mcp_servers.bounds import Bounds
from claude_gateway.mcp_servers.flood import Gauge, Overrun
from claude_gateway.mcp_servers.incoming import Incoming, reduce

BOUNDS = Bounds(parts=3, entries=5)


@dataclass
class Request:
    method: str
    params: dict[str, Any] | None


@dataclass
class Response:
    result: dict[str, Any]


@dataclass
class Item:
    message: Any


class Stream:
    def __init__(self, *messages: Any) -> None:
        self._items = [Item(message) for message in messages]

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        if not self._items:
            raise StopAsyncIteration
        return self._items.pop(0)


async def heard(message: Any) -> Any:
    gauge = Gauge(BOUNDS, lambda: 0.0, lambda _: None)
    (item,) = [item async for item in Incoming(Stream(message), gauge)]
    return item.message


@pytest.mark.parametrize(
    ("result", "why"),
    [
        ({"content": [{}] * 4}, "more than 3 parts"),
        ({"tools": [{}] * 6}, "more than 5 entries"),
        ({"resources": [{}] * 6}, "more than 5 entries"),
        ({"whatever": [0] * 6}, "more than 5 entries"),
    ],
)
async def test_a_list_beyond_the_bounds_ends_the_connection(result: dict[str, Any], why: str) -> None:
    with pytest.raises(Overrun, match=why):
        await heard(Response(result))


async def test_what_a_server_asks_or_tells_comes_without_what_nobody_reads() -> None:
    assert await heard(Request("sampling/createMessage", {"messages": [{}]})) == Request("sampling/createMessage", None)
    assert await heard(Request("ping", {"_meta": {}})) == Request("ping", {"_meta": {}})


def test_entries_keep_what_is_read_of_them() -> None:
    text = {"type": "text", "text": "x"}
    inside = {"icons": [{}], "annotations": {"audience": [""]}, "_meta": {}}
    result = {
        "content": [text | inside, {"type": "resource", "resource": {"uri": "a:b", "text": "y"} | inside}],
        "serverInfo": {"name": "a"} | inside,
        "structuredContent": {"a": dict(inside)} | inside,
    }

    reduce(result)

    assert result == {
        "content": [text, {"type": "resource", "resource": {"uri": "a:b", "text": "y"}}],
        "serverInfo": {"name": "a"},
        "structuredContent": {"a": inside} | inside,
    }
