"""What a server sends, made small before the `mcp` package reads it.

The package holds every message against the types of the protocol, some ten microseconds for each entry of a list. So
what this gateway does not read is left out, and lists have a bound.
"""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from claude_gateway.mcp_servers.bounds import Bounds
from claude_gateway.mcp_servers.flood import Gauge

TOO_MANY_PARTS = "one of its answers has more than {0.parts} parts"
TOO_MANY_ENTRIES = "one of its lists has more than {0.entries} entries"

# Of a tool, a part of an answer and the like: for people, or for nobody.
_NOT_READ = ("icons", "annotations", "_meta")
_NESTED = ("resource",)
# What a server may ask or tell with parameters that somebody reads.
_READ_WITH_PARAMETERS = ("ping",)


class Incoming:
    """The messages of a transport, for the package's session; `inner` is the stream that the transport gave."""

    def __init__(self, inner: Any, gauge: Gauge) -> None:
        self._inner = inner
        self._gauge = gauge

    @property
    def last_context(self) -> Any:
        return getattr(self._inner, "last_context", None)

    async def receive(self) -> Any:
        return self._reduced(await self._inner.receive())

    async def aclose(self) -> None:
        await self._inner.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        return self._reduced(await self._inner.__anext__())

    async def __aenter__(self) -> Self:
        await self._inner.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._inner.__aexit__(kind, error, trace)

    def _reduced(self, item: Any) -> Any:
        """Raises `Overrun` for a list beyond the bounds."""
        message = getattr(item, "message", None)
        method, result = getattr(message, "method", None), getattr(message, "result", None)
        if isinstance(method, str) and method not in _READ_WITH_PARAMETERS:
            message.params = None  # type: ignore[union-attr]
        if isinstance(result, dict):
            if (why := too_long(result, self._gauge.bounds)) is not None:
                self._gauge.refuse(why)
            reduce(result)
        return item


def too_long(result: Mapping[str, Any], bounds: Bounds) -> str | None:
    """Which bound the lists of a result pass, as a template of `Bounds`; None for none."""
    for key, value in result.items():
        if not isinstance(value, list):
            continue
        if key == "content" and len(value) > bounds.parts:
            return TOO_MANY_PARTS
        if len(value) > bounds.entries:
            return TOO_MANY_ENTRIES
    return None


def reduce(result: dict[str, Any]) -> None:
    """Leave out of a result, in place, what nobody reads of its entries."""
    for key, value in result.items():
        if key == "structuredContent":
            continue
        for entry in value if isinstance(value, list) else [value]:
            if isinstance(entry, dict):
                for part in (entry, *(entry.get(name) for name in _NESTED)):
                    if isinstance(part, dict):
                        for name in _NOT_READ:
                            part.pop(name, None)
