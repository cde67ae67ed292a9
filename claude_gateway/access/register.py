"""Keys are made, renewed and revoked here, for the command and for `/v1/admin/keys` alike."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from claude_gateway.access.keys import StoredKey
from claude_gateway.access.secret import digest, new_id, new_secret
from claude_gateway.access.wanted_key import WantedKey, WantedLimits
from claude_gateway.errors import ApiError
from claude_gateway.stores.keys import MOST_KEYS, KeyStore, TooManyKeys


@dataclass(frozen=True, slots=True)
class Keys:
    """What gives out a secret gives it out this once. `now` is in seconds of the epoch."""

    store: KeyStore
    now: Callable[[], float] = time.time

    async def listed(self) -> list[StoredKey]:
        return await self.store.listed()

    async def create(self, wanted: WantedKey) -> tuple[StoredKey, str]:
        """The key and its secret. Raises `ApiError` 409 where there are too many."""
        id_ = new_id()
        secret = new_secret(id_)
        stored = wanted.stored(id_, digest(secret), self.now())
        try:
            await self.store.add(stored)
        except TooManyKeys:
            raise ApiError(
                409,
                "validation_error",
                f"There are {MOST_KEYS} keys, and no more can be; revoke one.",
                code="too_many_keys",
            ) from None
        return stored, secret

    async def rotate(self, id_: str) -> tuple[StoredKey, str]:
        """The same key with another secret; the old one opens nothing any more. Raises `ApiError` 404."""
        secret = new_secret(id_)
        stored = await self.store.renew(id_, digest(secret))
        if stored is None:
            raise _no_such_key()
        return stored, secret

    async def limit(self, id_: str, limits: WantedLimits) -> StoredKey:
        """Other limits for the key, from its next request on; those not named stay. Raises `ApiError` 404."""
        stored = await self.store.limit(id_, limits.by_group, limits.concurrent)
        if stored is None:
            raise _no_such_key()
        return stored

    async def revoke(self, id_: str) -> None:
        """For good, and at once. Raises `ApiError` 404."""
        if not await self.store.revoke(id_, self.now()):
            raise _no_such_key()


def _no_such_key() -> ApiError:
    return ApiError(404, "not_found_error", "There is no such key, or it was revoked.", code="key_not_found")
