"""Names of strangers' servers, looked up for a caller: by a resolver that waits in no thread.

The system's own look-up takes a thread for as long as a name server is silent, and cannot be cancelled: a few names
whose servers never answer would keep every other key from looking up any. Here each key waits for its own names alone.
"""

import asyncio
import socket
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from typing import Any
from weakref import WeakSet

import aiodns

_SECONDS = 5.0
_LOOKUPS_OF_A_KEY = 8
# Of the resolver: how long it waits for a first answer, and how often it asks. Each time it waits longer.
_FIRST_WAIT_SECONDS = 1.0
_TRIES = 3
# It remembers answers for as long as they say, without a bound on how many or how large.
_LOOKUPS_OF_A_RESOLVER = 200
_MAX_ADDRESSES = 32


@dataclass(slots=True)
class _Lookups:
    """Of one key: `users` wait for a free one, or have one."""

    free: asyncio.Semaphore
    users: int = 0


class NameResolver:
    """Looks names up for keys, each by itself.

    Args:
        nameservers: Addresses of name servers; None for those of the system, after `/etc/hosts`.
        seconds: How long a look-up may take, with the time that it waits for others of its key.
        at_once: How many look-ups one key may have at once; a further one waits.
        renewed: After how many look-ups all that was remembered is forgotten.
    """

    def __init__(
        self,
        nameservers: list[str] | None = None,
        seconds: float = _SECONDS,
        at_once: int = _LOOKUPS_OF_A_KEY,
        renewed: int = _LOOKUPS_OF_A_RESOLVER,
    ) -> None:
        self._nameservers = nameservers
        self._seconds = seconds
        self._at_once = at_once
        self._renewed = renewed
        self._resolver: aiodns.DNSResolver | None = None
        # The present one, and those before it whose look-ups go on.
        self._resolvers: WeakSet[aiodns.DNSResolver] = WeakSet()
        self._asked = 0
        self._of: dict[str, _Lookups] = {}

    async def addresses(self, key: str, host: str) -> list[str]:
        """Where a host is, best first. Raises `OSError` where that cannot be found out in time.

        Args:
            key: The id of the key that it is looked up for.
            host: A name in ASCII, or an address.
        """
        try:
            return [str(ip_address(host))]
        except ValueError:
            pass
        try:
            async with asyncio.timeout(self._seconds):
                return await self._looked_up(key, host)
        except (TimeoutError, aiodns.error.DNSError, UnicodeError) as error:
            raise OSError(f"no address was found: {type(error).__name__}") from None

    async def aclose(self) -> None:
        """End every look-up: one that ended after the event loop could tell nobody of it."""
        self._resolver = None
        for resolver in list(self._resolvers):
            await resolver.close()

    async def _looked_up(self, key: str, host: str) -> list[str]:
        lookups = self._of.setdefault(key, _Lookups(asyncio.Semaphore(self._at_once)))
        lookups.users += 1
        try:
            await lookups.free.acquire()
        except asyncio.CancelledError:
            self._leave(key, lookups)
            raise
        try:
            asking = self._ask(host)
        except BaseException:
            self._end(key, lookups)
            raise
        # It goes on where nobody waits for it any more, and counts until it has ended.
        asking.add_done_callback(lambda done: self._end(key, lookups, done))
        found = await asyncio.shield(asking)
        return [node.addr[0].decode("ascii") for node in found.nodes[:_MAX_ADDRESSES]]

    def _ask(self, host: str) -> asyncio.Future[Any]:
        if self._resolver is None or self._asked == self._renewed:
            self._resolver = aiodns.DNSResolver(self._nameservers, timeout=_FIRST_WAIT_SECONDS, tries=_TRIES)
            self._resolvers.add(self._resolver)
            self._asked = 0
        self._asked += 1
        asking = self._resolver.getaddrinfo(host, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
        # One that nobody holds any more closes, and ends its look-ups.
        asking.add_done_callback(partial(_let_go, self._resolver))
        return asking

    def _end(self, key: str, lookups: _Lookups, done: asyncio.Future[Any] | None = None) -> None:
        if done is not None and not done.cancelled():
            done.exception()  # it may be that nobody waits for it
        lookups.free.release()
        self._leave(key, lookups)

    def _leave(self, key: str, lookups: _Lookups) -> None:
        lookups.users -= 1
        if not lookups.users:
            del self._of[key]


def _let_go(_resolver: aiodns.DNSResolver, _done: asyncio.Future[Any]) -> None:
    """The look-up held the resolver until it ended."""
