"""Asynchronous DNS resolver for host names in client requests.

The resolver of the operating system occupies a thread until the name server responds, and the gateway cannot cancel
such a lookup. If a client sent a few names with name servers that never respond, the lookups of all other keys would
have to wait. The resolver in this module uses no threads, and applies its limits to each key separately.
"""

import asyncio
import socket
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from typing import Any
from weakref import WeakSet

import aiodns

_LOOKUP_TIMEOUT_SECONDS = 5.0
_MAX_LOOKUPS_PER_KEY = 8
# The resolver queries a name server up to three times, and waits longer for each response than for the one before.
_FIRST_TRY_TIMEOUT_SECONDS = 1.0
_MAX_TRIES = 3
# aiodns caches responses without a size limit. The gateway therefore replaces its resolver after this many lookups.
_MAX_LOOKUPS_PER_RESOLVER = 200
_MAX_ADDRESSES = 32


@dataclass(slots=True)
class _KeyLookups:
    """Semaphore that limits the concurrent lookups of one key, and the number of running and waiting lookups."""

    slots: asyncio.Semaphore
    user_count: int = 0


class NameResolver:
    """Resolves host names, with separate limits for each key.

    Args:
        nameservers: Addresses of name servers; None to read `/etc/hosts` and then ask the name servers of the system.
        timeout_seconds: Time limit for a lookup, including the wait for other lookups of the same key.
        max_concurrent: Maximum number of concurrent lookups of one key. Further lookups of the key wait.
        max_lookups: Number of lookups after which the resolver drops its cache.
    """

    def __init__(
        self,
        nameservers: list[str] | None = None,
        timeout_seconds: float = _LOOKUP_TIMEOUT_SECONDS,
        max_concurrent: int = _MAX_LOOKUPS_PER_KEY,
        max_lookups: int = _MAX_LOOKUPS_PER_RESOLVER,
    ) -> None:
        self._nameservers = nameservers
        self._timeout_seconds = timeout_seconds
        self._max_concurrent = max_concurrent
        self._max_lookups = max_lookups
        self._resolver: aiodns.DNSResolver | None = None
        # The current resolver, and the earlier resolvers that still have pending lookups.
        self._resolvers: WeakSet[aiodns.DNSResolver] = WeakSet()
        self._lookup_count = 0
        self._lookups_by_key: dict[str, _KeyLookups] = {}

    async def resolve(self, key_id: str, host: str) -> list[str]:
        """Return the addresses of a host, the preferred address first.

        Args:
            key_id: Id of the key whose limits apply.
            host: ASCII name, or an address.

        Raises:
            OSError: The resolver found no address in time.
        """
        try:
            return [str(ip_address(host))]
        except ValueError:
            pass
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await self._limited_lookup(key_id, host)
        except (TimeoutError, aiodns.error.DNSError, UnicodeError) as error:
            raise OSError(f"no address was found: {type(error).__name__}") from None

    async def aclose(self) -> None:
        """Cancel all lookups. Call this method before the event loop closes.

        A lookup that ends after this could not report its result to the closed loop.
        """
        self._resolver = None
        for resolver in list(self._resolvers):
            await resolver.close()

    async def _limited_lookup(self, key_id: str, host: str) -> list[str]:
        lookups = self._lookups_by_key.setdefault(key_id, _KeyLookups(asyncio.Semaphore(self._max_concurrent)))
        lookups.user_count += 1
        try:
            await lookups.slots.acquire()
        except asyncio.CancelledError:
            self._release_user(key_id, lookups)
            raise
        try:
            lookup = self._start_lookup(host)
        except BaseException:
            self._finish_lookup(key_id, lookups)
            raise
        # If the client disconnects, its lookup continues, and holds its slot until it ends.
        lookup.add_done_callback(lambda finished: self._finish_lookup(key_id, lookups, finished))
        result = await asyncio.shield(lookup)
        return [node.addr[0].decode("ascii") for node in result.nodes[:_MAX_ADDRESSES]]

    def _start_lookup(self, host: str) -> asyncio.Future[Any]:
        if self._resolver is None or self._lookup_count == self._max_lookups:
            self._resolver = aiodns.DNSResolver(self._nameservers, timeout=_FIRST_TRY_TIMEOUT_SECONDS, tries=_MAX_TRIES)
            self._resolvers.add(self._resolver)
            self._lookup_count = 0
        self._lookup_count += 1
        lookup = self._resolver.getaddrinfo(host, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
        # Python would delete a resolver to which nothing refers, and that would cancel its lookups.
        lookup.add_done_callback(partial(_keep_resolver_alive, self._resolver))
        return lookup

    def _finish_lookup(self, key_id: str, lookups: _KeyLookups, finished: asyncio.Future[Any] | None = None) -> None:
        if finished is not None and not finished.cancelled():
            finished.exception()  # retrieves the error, so that asyncio does not log it if nothing waits for the result
        lookups.slots.release()
        self._release_user(key_id, lookups)

    def _release_user(self, key_id: str, lookups: _KeyLookups) -> None:
        lookups.user_count -= 1
        if not lookups.user_count:
            del self._lookups_by_key[key_id]


def _keep_resolver_alive(_resolver: aiodns.DNSResolver, _finished: asyncio.Future[Any]) -> None:
    """Do nothing. A lookup calls this function at its end.

    Until then, the callback refers to the resolver, so that Python does not delete the resolver.
    """
