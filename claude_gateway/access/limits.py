"""How often a caller may come: so many requests a minute, in each group of paths by itself.

A limit of N a minute is a bucket of N that empties at an even pace: N requests at once, and after those one more every
60/N seconds. A request that finds it full is refused at once; nobody is made to wait. Each refused request is promised
the next moment that nobody else was promised, and told to come back then. What comes back at its time is let in before
newcomers.
"""

import asyncio
import math
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace

from aiolimiter import AsyncLimiter

from claude_gateway.access.keys import Key
from claude_gateway.errors import ApiError

_SECOND = 1_000_000_000
_MINUTE = 60 * _SECOND
# The loop's clock is a float: a hundred years after the boot of a machine it is right to half a microsecond. So much
# (10 µs) early is early enough; the shortest time between two requests, of a million a minute, is six times that.
_TOLERANCE = 10_000
# A bucket that was put away begins empty again. Keys have never so many, and a caller from more networks than that is
# held by no limit for each.
_MOST_BUCKETS = 20_000
# A bucket is empty again after a minute, and keeps a promise for less than three: one that nobody used for so long is
# put away, a few at a time.
_IDLE_SECONDS = 200.0
_PUT_AWAY_AT_ONCE = 3
# So many promises of a bucket at most, and no more than for two minutes; half of them for one caller.
_MOST_PROMISES = 1_000
_MOST_PROMISES_TO_AN_ADDRESS = 16
# A promise is kept beyond its moment, for the way here and for programs that wait a little longer than they are told.
_GRACE = 2 * _SECOND
_GRACE_PART = 5
_SETTINGS = {"general": "RATE_LIMIT_PER_MINUTE"}


@dataclass(frozen=True, slots=True)
class Caller:
    """By what a request that was refused is known again. `is_retry`: it says of itself that it has been here."""

    id: int = 0
    is_retry: bool = False


ANYBODY = Caller()


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a caller stands in a group, this request counted. `reset` are the seconds until all are to be had again,
    `retry` those until this very caller is let in; None for a request that was let in. `key` is the id of the key, ""
    for an address without one, and `is_stored` whether its limits can be changed."""

    limit: int
    remaining: int
    reset: float
    retry: float | None
    group: str = "general"
    key: str = ""
    is_stored: bool = False

    def check(self) -> None:
        """Raises `ApiError` 429 for a request that was not let in."""
        if self.retry is not None:
            seconds = max(1, math.ceil(self.retry))
            raise ApiError(
                429,
                "rate_limit_exceeded",
                f"Rate limit exceeded. Try again in {seconds} seconds. {self._which()}",
                code="too_many_requests",
                retry_after=seconds,
                extra={"retry_after": seconds},
            )

    def _which(self) -> str:
        """Which limit it was, and how to raise it."""
        setting = _SETTINGS.get(self.group, f"RATE_LIMIT_{self.group.upper()}_PER_MINUTE")
        caller = "key" if self.key else "address without a key"
        limit = f"This {caller} may send {self.limit} requests a minute in the group {self.group}."
        if not self.is_stored:
            return f"{limit} To allow more, raise {setting}."
        command = f"claude-gateway keys limit {self.key} --per-minute {self.group}=N"
        return f"{limit} To allow this key more: `{command}`; to allow every key more, raise {setting}."


@dataclass(slots=True)
class _Promise:
    """Times in nanoseconds of the loop's clock. A caller that comes between `due` and `until` is let in."""

    caller: int
    due: int
    until: int


class Bucket:
    """aiolimiter's, which is asked how full it is. It holds the nanoseconds of a minute: a request takes one part of
    as many as the limit says, and what stands in whole numbers does not drift."""

    def __init__(self, limit: int, most_promises: int = _MOST_PROMISES) -> None:
        self.limit = limit
        self._part = _MINUTE // limit
        self._size = self._part * limit
        self._limiter = AsyncLimiter(self._size, self._size / _SECOND)
        self._most_promises = min(2 * limit, most_promises)
        # In the loop's clock.
        self.used_at = 0.0
        # In the order in which they are due.
        self._promises: list[_Promise] = []

    @property
    def promised(self) -> int:
        """How many promises it keeps."""
        return len(self._promises)

    async def take(self, caller: Caller = ANYBODY) -> Standing:
        """Never waits."""
        now = round(asyncio.get_running_loop().time() * _SECOND)
        self._promises = [one for one in self._promises if one.until > now]
        room = self._room()
        if self._lets_in(caller, now, room + _TOLERANCE):
            spent = min(self._part, room)
            await self._limiter.acquire(spent)
            room -= spent
            retry = None
        else:
            retry = (self._promise(caller, now, room).due - now) / _SECOND
        left = (room + _TOLERANCE) // self._part - len(self._promises)
        return Standing(self.limit, max(0, left), (self._size - room) / _SECOND, retry)

    def _room(self) -> int:
        """How much more goes in now. The limiter says of any amount whether it does."""
        return bisect_left(range(self._size + 1), True, key=lambda amount: not self._limiter.has_capacity(amount)) - 1

    def _lets_in(self, caller: Caller, now: int, room: int) -> bool:
        """Whether there is room that nobody else was promised. Takes back what was promised to this caller."""
        if room < self._part:
            return False
        own = next((one for one in self._promises if one.caller == caller.id), None)
        if own is None or own.due > now + _TOLERANCE:
            others = [one for one in self._promises if one is not own]
            for number, one in enumerate(others, 2):
                if room + max(0, one.due - now) < number * self._part:
                    return False
        if own is not None:
            self._promises.remove(own)
        return True

    def _promise(self, caller: Caller, now: int, room: int) -> _Promise:
        """The moment at which this caller is let in. Beyond the most promises it is told the end of the line."""
        own = [one for one in self._promises if one.caller == caller.id]
        if caller.is_retry and own and own[0].due > now:
            return own[0]
        due = now + max(0, (len(self._promises) + 1) * self._part - room)
        if self._promises:
            due = max(due, self._promises[-1].due + self._part)
        wait = due - now
        told = -(-wait // _SECOND) * _SECOND
        promise = _Promise(caller.id, due, now + told + _GRACE + wait // _GRACE_PART)
        if len(self._promises) < self._most_promises and len(own) < max(1, self._most_promises // 2):
            self._promises.append(promise)
        return promise


class Buckets:
    """Those used last, of bounded number."""

    def __init__(self, most: int = _MOST_BUCKETS, most_promises: int = _MOST_PROMISES) -> None:
        self._most = most
        self._most_promises = most_promises
        self._buckets: OrderedDict[tuple[str, str], Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def of(self, who: str, group: str, limit: int) -> Bucket:
        bucket = self._buckets.get((who, group))
        if bucket is None or bucket.limit != limit:
            bucket = self._buckets[who, group] = Bucket(limit, self._most_promises)
        now = asyncio.get_running_loop().time()
        bucket.used_at = now
        self._buckets.move_to_end((who, group))
        for _ in range(_PUT_AWAY_AT_ONCE):
            oldest = next(iter(self._buckets.values()))
            if len(self._buckets) <= self._most and now - oldest.used_at < _IDLE_SECONDS:
                break
            self._buckets.popitem(last=False)
        return bucket


class Limits:
    """Of every key, and of every address that brought none. `per_minute` holds for whom the key says nothing else;
    empty, nobody is counted."""

    def __init__(self, per_minute: Mapping[str, int]) -> None:
        self._per_minute = per_minute
        # Apart, so that no number of addresses puts a key's bucket away.
        self._of_keys = Buckets()
        self._of_addresses = Buckets(most_promises=_MOST_PROMISES_TO_AN_ADDRESS)

    def renew(self, per_minute: Mapping[str, int]) -> None:
        """Others from now on; a bucket whose size changes begins empty."""
        self._per_minute = per_minute

    async def count_key(self, key: Key, group: str, caller: Caller = ANYBODY) -> Standing | None:
        """None where nobody is counted."""
        if not self._per_minute:
            return None
        limit = key.rates.per_minute.get(group, self._per_minute[group])
        standing = await self._of_keys.of(key.id, group, limit).take(caller)
        return replace(standing, group=group, key=key.id, is_stored=key.is_stored)

    async def count_address(self, address: str, group: str, caller: Caller = ANYBODY) -> Standing | None:
        """`address` as `access.address` has it. None where nobody is counted."""
        if not self._per_minute:
            return None
        standing = await self._of_addresses.of(address, group, self._per_minute[group]).take(caller)
        return replace(standing, group=group)
