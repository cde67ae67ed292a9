"""Limits the requests a minute that each key and each client address may send to each group of routes.

A limit of N requests a minute is a leaky bucket of size N that drains at an even rate: a client can send N requests at
once, and after those one request every 60/N seconds. The gateway rejects requests over the limit immediately, and no
request waits. For each rejected request, the gateway reserves the next free time and tells the client in the response
to retry then. If the client retries at the reserved time, the gateway admits its request before new requests.
"""

import math
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace

from aiolimiter import AsyncLimiter

from claude_gateway.auth.models import ApiKey
from claude_gateway.core.errors import ApiError
from workers.core.event_loop import loop_time

_SECOND_NANOSECONDS = 1_000_000_000
_MINUTE_NANOSECONDS = 60 * _SECOND_NANOSECONDS
# The gateway admits a request that arrives too early by at most this time (10 µs). The clock of the event loop is a
# float. A hundred years after the machine booted, the float is still accurate to half a microsecond. At the highest
# limit, a million requests a minute, the time between two requests is six times the tolerance.
_TOLERANCE_NANOSECONDS = 10_000
# Maximum number of buckets in a cache. If the cache evicts a bucket, the next request of its client starts with an
# empty bucket. There are never so many keys. A client that sends from more networks than this could not be stopped by a
# limit for each address anyway.
_MAX_BUCKETS = 20_000
# A bucket is empty after a minute without requests, and it holds no reservation for longer than three minutes.
# Therefore the cache can evict a bucket that was not used for this time. Each lookup evicts only a few buckets.
_MAX_IDLE_SECONDS = 200.0
_MAX_EVICTIONS_PER_LOOKUP = 3
# Maximum number of reservations in one bucket. The bucket makes no reservation for a time more than two minutes ahead,
# and at most half of the reservations for requests with the same fingerprint.
_MAX_RESERVATIONS = 1_000
_MAX_RESERVATIONS_PER_ADDRESS = 16
# The bucket keeps a reservation for this time after its reserved time, because the network needs time and because some
# clients wait longer than requested.
_GRACE_NANOSECONDS = 2 * _SECOND_NANOSECONDS
_GRACE_DIVISOR = 5
_SETTING_NAMES = {"general": "RATE_LIMIT_PER_MINUTE"}


@dataclass(frozen=True, slots=True)
class RequestFingerprint:
    """Data by which the gateway recognizes a rejected request when the client retries the request.

    Attributes:
        id: Text that is equal for a request and for its retries.
        is_retry: Whether the request itself states that it is a retry.
    """

    id: int = 0
    is_retry: bool = False


NO_FINGERPRINT = RequestFingerprint()


@dataclass(frozen=True, slots=True)
class RateLimitState:
    """Rate limit of a key or address in one group of routes, after the present request was counted.

    Attributes:
        limit: Requests a minute.
        remaining: Number of requests that the gateway would admit now.
        reset_seconds: Seconds until the gateway would admit `limit` requests at once.
        retry_after_seconds: Seconds until the gateway would admit the rejected request; None if it admitted the
            request.
        group: The rate-limit group.
        key_id: The id of the key; "" if the limiter counted an address without a key.
        is_stored: Whether the key is in the database, so that the operator can change the key's own limits.
    """

    limit: int
    remaining: int
    reset_seconds: float
    retry_after_seconds: float | None
    group: str = "general"
    key_id: str = ""
    is_stored: bool = False

    def check_allowed(self) -> None:
        """Raise an error if the request was rejected.

        Raises:
            ApiError: 429 if it was rejected.
        """
        if self.retry_after_seconds is not None:
            seconds = max(1, math.ceil(self.retry_after_seconds))
            raise ApiError(
                429,
                "rate_limit_exceeded",
                f"Rate limit exceeded. Try again in {seconds} seconds. {self._limit_hint()}",
                code="too_many_requests",
                retry_after=seconds,
                extra={"retry_after": seconds},  # for the body of the Anthropic dialect too
            )

    def _limit_hint(self) -> str:
        """Return sentences that name the limit and say how to raise it."""
        setting = _SETTING_NAMES.get(self.group, f"RATE_LIMIT_{self.group.upper()}_PER_MINUTE")
        client = "key" if self.key_id else "address without a key"
        limit = f"This {client} may send {self.limit} requests a minute in the group {self.group}."
        if not self.is_stored:
            return f"{limit} To allow more, raise {setting}."
        command = f"claude-gateway keys update {self.key_id} --requests-per-minute {self.group}=N"
        return f"{limit} To allow this key more: `{command}`; to allow every key more, raise {setting}."


@dataclass(slots=True)
class _Reservation:
    """Time span in which the bucket admits a retry of a rejected request.

    The start (`due_nanoseconds`) and the end (`expires_nanoseconds`) are times on the clock of the event loop.
    """

    fingerprint_id: int
    due_nanoseconds: int
    expires_nanoseconds: int


class LeakyBucket:
    """Rate limiter that uses the leaky bucket of aiolimiter and also reserves times for retries.

    The bucket counts in nanoseconds: it drains by one unit in each nanosecond, and a request adds as many units as a
    minute divided by `limit` has nanoseconds. All amounts are whole numbers, so that no rounding errors add up.

    Args:
        limit: Requests a minute.
        max_reservations: Upper bound on the reservations for rejected requests.
    """

    def __init__(self, limit: int, max_reservations: int = _MAX_RESERVATIONS) -> None:
        self.limit = limit
        self._request_cost = _MINUTE_NANOSECONDS // limit
        self._capacity = self._request_cost * limit
        self._limiter = AsyncLimiter(self._capacity, self._capacity / _SECOND_NANOSECONDS)
        self._max_reservations = min(2 * limit, max_reservations)
        # Time on the clock of the event loop.
        self.last_used_monotonic = 0.0
        # Sorted by reserved time, the earliest first.
        self._reservations: list[_Reservation] = []

    @property
    def reservation_count(self) -> int:
        """Number of reservations that the bucket holds."""
        return len(self._reservations)

    async def take(self, fingerprint: RequestFingerprint = NO_FINGERPRINT) -> RateLimitState:
        """Admit the request, or reject it and reserve a time for its retry. The method never waits."""
        now = round(loop_time() * _SECOND_NANOSECONDS)
        self._reservations = [held for held in self._reservations if held.expires_nanoseconds > now]
        free = self._free_capacity()
        if self._try_admit(fingerprint, now, free + _TOLERANCE_NANOSECONDS):
            cost = min(self._request_cost, free)
            await self._limiter.acquire(cost)
            free -= cost
            retry_after = None
        else:
            retry_after = (self._reserve(fingerprint, now, free).due_nanoseconds - now) / _SECOND_NANOSECONDS
        remaining = (free + _TOLERANCE_NANOSECONDS) // self._request_cost - len(self._reservations)
        reset = (self._capacity - free) / _SECOND_NANOSECONDS
        return RateLimitState(self.limit, max(0, remaining), reset, retry_after)

    def _free_capacity(self) -> int:
        """Return the largest amount that fits into the bucket now.

        The limiter of aiolimiter tells only whether a given amount fits. Therefore the method searches for the largest
        amount.
        """
        return (
            bisect_left(range(self._capacity + 1), True, key=lambda amount: not self._limiter.has_capacity(amount)) - 1
        )

    def _try_admit(self, fingerprint: RequestFingerprint, now_nanoseconds: int, free_capacity: int) -> bool:
        """Return whether the bucket has capacity that is not reserved for other requests.

        If it does, remove the reservation of this request.
        """
        if free_capacity < self._request_cost:
            return False
        own = next((held for held in self._reservations if held.fingerprint_id == fingerprint.id), None)
        if own is None or own.due_nanoseconds > now_nanoseconds + _TOLERANCE_NANOSECONDS:
            others = [held for held in self._reservations if held is not own]
            for number, other in enumerate(others, 2):
                if free_capacity + max(0, other.due_nanoseconds - now_nanoseconds) < number * self._request_cost:
                    return False
        if own is not None:
            self._reservations.remove(own)
        return True

    def _reserve(self, fingerprint: RequestFingerprint, now_nanoseconds: int, free_capacity: int) -> _Reservation:
        """Return a reservation for the rejected request.

        The bucket holds at most `max_reservations`, and at most half of them for one fingerprint. Beyond these limits,
        the returned reservation is only an estimate: the bucket does not hold it, and its time is after all
        reservations in the bucket.
        """
        own = [held for held in self._reservations if held.fingerprint_id == fingerprint.id]
        if fingerprint.is_retry and own and own[0].due_nanoseconds > now_nanoseconds:
            return own[0]
        due = now_nanoseconds + max(0, (len(self._reservations) + 1) * self._request_cost - free_capacity)
        if self._reservations:
            due = max(due, self._reservations[-1].due_nanoseconds + self._request_cost)
        wait = due - now_nanoseconds
        # Round up, because the response carries whole seconds.
        retry_after = -(-wait // _SECOND_NANOSECONDS) * _SECOND_NANOSECONDS
        expires = now_nanoseconds + retry_after + _GRACE_NANOSECONDS + wait // _GRACE_DIVISOR
        reservation = _Reservation(fingerprint.id, due, expires)
        if len(self._reservations) < self._max_reservations and len(own) < max(1, self._max_reservations // 2):
            self._reservations.append(reservation)
        return reservation


class LeakyBucketCache:
    """Cache of the most recently used buckets. The number of buckets has an upper bound.

    Args:
        max_buckets: Upper bound on the buckets.
        max_reservations: Upper bound on the reservations of each bucket.
    """

    def __init__(self, max_buckets: int = _MAX_BUCKETS, max_reservations: int = _MAX_RESERVATIONS) -> None:
        self._max_buckets = max_buckets
        self._max_reservations = max_reservations
        self._buckets: OrderedDict[tuple[str, str], LeakyBucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def get(self, client_id: str, group: str, limit: int) -> LeakyBucket:
        """Return the bucket of a key or address in a group; create it if it is missing or its limit has changed."""
        bucket = self._buckets.get((client_id, group))
        if bucket is None or bucket.limit != limit:
            bucket = self._buckets[client_id, group] = LeakyBucket(limit, self._max_reservations)
        now = loop_time()
        bucket.last_used_monotonic = now
        self._buckets.move_to_end((client_id, group))
        for _ in range(_MAX_EVICTIONS_PER_LOOKUP):
            oldest = next(iter(self._buckets.values()))
            if len(self._buckets) <= self._max_buckets and now - oldest.last_used_monotonic < _MAX_IDLE_SECONDS:
                break
            self._buckets.popitem(last=False)
        return bucket


class RateLimiter:
    """Counts the requests of every key, and of every address that sends requests without a key.

    Args:
        requests_per_minute: Limits by group, for addresses and for keys without limits of their own. If the mapping is
            empty, the limiter counts no requests.
    """

    def __init__(self, requests_per_minute: Mapping[str, int]) -> None:
        self._per_minute = requests_per_minute
        # Keep two caches, so that requests from many addresses cannot evict the bucket of a key.
        self._key_buckets = LeakyBucketCache()
        self._address_buckets = LeakyBucketCache(max_reservations=_MAX_RESERVATIONS_PER_ADDRESS)

    def set_limits(self, requests_per_minute: Mapping[str, int]) -> None:
        """Replace the limits; a bucket whose limit changes starts empty."""
        self._per_minute = requests_per_minute

    async def count_key(
        self, key: ApiKey, group: str, fingerprint: RequestFingerprint = NO_FINGERPRINT
    ) -> RateLimitState | None:
        """Count a request of a key; return None if rate limits are off."""
        if not self._per_minute:
            return None
        limit = key.limits.requests_per_minute.get(group, self._per_minute[group])
        state = await self._key_buckets.get(key.id, group, limit).take(fingerprint)
        return replace(state, group=group, key_id=key.id, is_stored=key.is_stored)

    async def count_address(
        self, address: str, group: str, fingerprint: RequestFingerprint = NO_FINGERPRINT
    ) -> RateLimitState | None:
        """Count a request without a key; return None if rate limits are off.

        Args:
            address: The client's address, as `client_address` returns it.
            group: The rate-limit group of the route.
            fingerprint: Data by which the limiter recognizes the request when the client retries it.
        """
        if not self._per_minute:
            return None
        state = await self._address_buckets.get(address, group, self._per_minute[group]).take(fingerprint)
        return replace(state, group=group)
