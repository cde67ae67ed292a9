"""Removes unused fields from inbound MCP messages before the `mcp` package validates the messages.

The package validates every message against the types of the protocol. This validation takes about ten microseconds for
each entry of a list. Therefore the gateway drops the fields that it does not use, and limits the length of lists.
"""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from claude_gateway.mcp_servers.inbound_limit import InboundLimiter
from claude_gateway.mcp_servers.limits import McpLimits

TOO_MANY_PARTS = "a result of the server has more than {0.max_result_parts} parts"
TOO_MANY_ENTRIES = "a list of the server has more than {0.max_list_entries} entries"

# Fields of tools, result parts and other entries that the gateway never reads.
_UNUSED_FIELDS = ("icons", "annotations", "_meta")
_NESTED_FIELDS = ("resource",)
# Methods of the server's requests and notifications whose parameters the gateway reads.
_METHODS_WITH_PARAMS = ("ping",)


class InboundMessages:
    """Stream that delivers the server's messages to the `mcp` package, without the fields that the gateway never uses.

    Args:
        stream: Stream from which the transport delivers the original messages.
        limiter: Ends the connection if a list is too long.
    """

    def __init__(self, stream: Any, limiter: InboundLimiter) -> None:
        self._stream = stream
        self._limiter = limiter

    @property
    def last_context(self) -> Any:
        """The context of the last message. The `mcp` package reads this attribute."""
        return getattr(self._stream, "last_context", None)

    async def receive(self) -> Any:
        """Receive one message and remove its unused fields. Raises `InboundLimitExceeded`."""
        return self._reduce_item(await self._stream.receive())

    async def aclose(self) -> None:
        """Close the stream of the transport."""
        await self._stream.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        return self._reduce_item(await self._stream.__anext__())

    async def __aenter__(self) -> Self:
        await self._stream.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stream.__aexit__(kind, error, trace)

    def _reduce_item(self, item: Any) -> Any:
        """Drop the unused fields of a message. Raises `InboundLimitExceeded` if a list is too long."""
        message = getattr(item, "message", None)
        method, result = getattr(message, "method", None), getattr(message, "result", None)
        if isinstance(method, str) and method not in _METHODS_WITH_PARAMS:
            message.params = None  # type: ignore[union-attr]
        if isinstance(result, dict):
            if (reason_template := find_exceeded_limit(result, self._limiter.limits)) is not None:
                self._limiter.raise_exceeded(reason_template)
            drop_unused_fields(result)
        return item


def find_exceeded_limit(result: Mapping[str, Any], limits: McpLimits) -> str | None:
    """Return a template for an error text if a list in the result is too long; None if all lists are short enough."""
    for key, value in result.items():
        if not isinstance(value, list):
            continue
        if key == "content" and len(value) > limits.max_result_parts:
            return TOO_MANY_PARTS
        if len(value) > limits.max_list_entries:
            return TOO_MANY_ENTRIES
    return None


def drop_unused_fields(result: dict[str, Any]) -> None:
    """Remove the fields that the gateway never uses from the entries of a result. The function changes `result`."""
    for key, value in result.items():
        if key == "structuredContent":
            continue
        for entry in value if isinstance(value, list) else [value]:
            if isinstance(entry, dict):
                for part in (entry, *(entry.get(name) for name in _NESTED_FIELDS)):
                    if isinstance(part, dict):
                        for name in _UNUSED_FIELDS:
                            part.pop(name, None)
