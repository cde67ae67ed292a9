"""Memory limit for the stored conversations that the gateway loads for requests.

A request of a few bytes may continue a conversation of many megabytes. Therefore the gateway reserves memory for the
request before it loads the conversation. One key may reserve at most half of the memory.
"""

from typing import Protocol

from claude_gateway.core.errors import ApiError

_RETRY_SECONDS = 5


class MemoryReservation(Protocol):
    """Interface of an object that stands for memory reserved for one request."""

    def release(self) -> None:
        """Release the reserved memory. A second call does nothing."""
        ...


class MemoryPool(Protocol):
    """Interface of a pool of memory that all requests share."""

    async def reserve(self, key_id: str, size_bytes: int, timeout: float) -> MemoryReservation:
        """Wait until enough memory is free, and reserve `size_bytes` of it for a request of the key.

        Raises:
            TimeoutError: The memory did not become free within `timeout` seconds.
        """
        ...


class _NullReservation:
    def release(self) -> None:
        pass


NO_RESERVATION: MemoryReservation = _NullReservation()


class LoadedMemory:
    """Reserves memory for the stored conversations that the gateway loads for requests.

    Args:
        memory: Pool of memory; None if the memory is not limited.
        timeout_seconds: Longest time that a request waits for memory.
    """

    def __init__(self, memory: MemoryPool | None = None, timeout_seconds: float = 0.0) -> None:
        self._memory = memory
        self._timeout_seconds = timeout_seconds

    async def reserve(self, key_id: str, size_bytes: int) -> MemoryReservation:
        """Reserve memory for a stored conversation.

        Raises:
            ApiError: 503 if not enough memory becomes free in time.
        """
        if self._memory is None or not size_bytes:
            return NO_RESERVATION
        try:
            return await self._memory.reserve(key_id, size_bytes, self._timeout_seconds)
        except TimeoutError:
            raise ApiError(
                503,
                "overloaded_error",
                "Other requests use all memory for stored conversations (MAX_REQUEST_MEMORY_MIB). "
                f"Try again in {_RETRY_SECONDS} seconds.",
                code="request_memory_exhausted",
                retry_after=_RETRY_SECONDS,
            ) from None
