"""How much of what is stored requests may have in memory together, each key half of it at most.

A request of a few bytes may go on from a conversation of many megabytes: room for those is held before they are read.
"""

from typing import Protocol

from claude_gateway.errors import ApiError

_RETRY_SECONDS = 5


class Held(Protocol):
    """Room, until it is released. To release it twice changes nothing."""

    def release(self) -> None: ...


class Memory(Protocol):
    """What gives room out, or raises `TimeoutError` where there was none for `timeout` seconds."""

    async def hold(self, owner: str, size: int, timeout: float) -> Held: ...


class _Nothing:
    def release(self) -> None:
        pass


NOTHING_HELD: Held = _Nothing()


class LoadedMemory:
    """`patience` is how long a request waits for room, in seconds. Without a `memory` nothing is bounded."""

    def __init__(self, memory: Memory | None = None, patience: float = 0.0) -> None:
        self._memory = memory
        self._patience = patience

    async def hold(self, owner: str, size: int) -> Held:
        """Room for so many bytes. Raises `ApiError` 503."""
        if self._memory is None or not size:
            return NOTHING_HELD
        try:
            return await self._memory.hold(owner, size, self._patience)
        except TimeoutError:
            raise ApiError(
                503,
                "overloaded_error",
                "Other requests hold all the memory that this gateway has for what it remembers (REQUEST_MEMORY_MIB). "
                f"Try again in {_RETRY_SECONDS} seconds.",
                code="request_memory_full",
                retry_after=_RETRY_SECONDS,
            ) from None
