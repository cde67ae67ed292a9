"""How often a caller may come: so many requests a minute, in each group of paths by itself.

A limit of N a minute is a bucket of N that empties at an even pace: N requests at once, and after those one more every
60/N seconds. Who finds it full is refused at once, and told when there will be room; nobody is made to wait.
"""

import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from aiolimiter import AsyncLimiter

from claude_gateway.access.keys import Key
from claude_gateway.errors import ApiError

_MINUTE = 60.0
# A bucket that was put away begins empty again. Keys have never so many, and who comes from more networks than that is
# held by no limit for each.
_MOST_BUCKETS = 20_000


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a caller stands in a group, this request counted. `reset` are the seconds until all are to be had again,
    `retry` those until the next is; None for a request that was let in."""

    limit: int
    remaining: int
    reset: float
    retry: float | None

    def check(self) -> None:
        """Raises `ApiError` 429 for a request that was not let in."""
        if self.retry is not None:
            seconds = max(1, math.ceil(self.retry))
            raise ApiError(
                429,
                "rate_limit_exceeded",
                f"Rate limit exceeded. Try again in {seconds} seconds.",
                code="too_many_requests",
                retry_after=seconds,
                extra={"retry_after": seconds},
            )


class Bucket(AsyncLimiter):
    """aiolimiter's, which also says how full it is."""

    async def take(self) -> Standing:
        """Never waits."""
        let_in = self.has_capacity()
        if let_in:
            await self.acquire()
        per_second = self.max_rate / self.time_period
        return Standing(
            limit=int(self.max_rate),
            remaining=max(0, math.floor(self.max_rate - self._level)),
            reset=self._level / per_second,
            retry=None if let_in else (self._level + 1 - self.max_rate) / per_second,
        )


class Buckets:
    """Those used last, of bounded number."""

    def __init__(self, most: int = _MOST_BUCKETS) -> None:
        self._most = most
        self._buckets: OrderedDict[tuple[str, str], Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def of(self, who: str, group: str, limit: int) -> Bucket:
        bucket = self._buckets.get((who, group))
        if bucket is None or bucket.max_rate != limit:
            bucket = self._buckets[who, group] = Bucket(limit, _MINUTE)
        self._buckets.move_to_end((who, group))
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return bucket


class Limits:
    """Of every key, and of every address that brought none. `per_minute` holds for whom the key says nothing else;
    empty, nobody is counted."""

    def __init__(self, per_minute: Mapping[str, int]) -> None:
        self._per_minute = per_minute
        # Apart, so that no number of addresses puts a key's bucket away.
        self._of_keys = Buckets()
        self._of_addresses = Buckets()

    def renew(self, per_minute: Mapping[str, int]) -> None:
        """Others from now on; a bucket whose size changes begins empty."""
        self._per_minute = per_minute

    async def count_key(self, key: Key, group: str) -> Standing | None:
        """None where nobody is counted."""
        if not self._per_minute:
            return None
        limit = key.rates.per_minute.get(group, self._per_minute[group])
        return await self._of_keys.of(key.id, group, limit).take()

    async def count_address(self, address: str, group: str) -> Standing | None:
        """`address` as `access.address` has it. None where nobody is counted."""
        if not self._per_minute:
            return None
        return await self._of_addresses.of(address, group, self._per_minute[group]).take()
