"""Operations on API keys for the command `claude-gateway keys` and the endpoint `/v1/admin/keys`."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from claude_gateway.auth.key_format import hash_secret, new_key_id, new_secret
from claude_gateway.auth.key_store import MAX_KEYS, KeyStore, TooManyKeys
from claude_gateway.auth.models import StoredKey
from claude_gateway.auth.schemas import CreateKeyRequest, UpdateKeyRequest
from claude_gateway.core.errors import ApiError


@dataclass(frozen=True, slots=True)
class KeyService:
    """Creates, lists, changes and revokes API keys.

    Only the call that creates a secret returns this secret. No later call can read the secret.

    Attributes:
        store: The keys in the database.
        now: Clock in epoch seconds.
    """

    store: KeyStore
    now: Callable[[], float] = time.time

    async def list_keys(self) -> list[StoredKey]:
        """Return all keys. Active keys come before revoked keys, and newer keys before older keys in each group."""
        return await self.store.list_keys()

    async def create_key(self, request: CreateKeyRequest) -> tuple[StoredKey, str]:
        """Create a key and return it with its secret.

        Raises:
            ApiError: 409 if there are `MAX_KEYS` keys already.
        """
        id_ = new_key_id()
        secret = new_secret(id_)
        stored = request.to_stored_key(id_, hash_secret(secret), self.now())
        try:
            await self.store.add(stored)
        except TooManyKeys:
            raise ApiError(
                409,
                "validation_error",
                f"There are already {MAX_KEYS} keys, which is the limit. Revoke a key first.",
                code="too_many_keys",
            ) from None
        return stored, secret

    async def rotate_key(self, key_id: str) -> tuple[StoredKey, str]:
        """Give the key a new secret, and return the key and the secret. The old secret is invalid from now on.

        Raises:
            ApiError: 404 if there is no such key or it was revoked.
        """
        secret = new_secret(key_id)
        stored = await self.store.replace_digest(key_id, hash_secret(secret))
        if stored is None:
            raise _key_not_found()
        return stored, secret

    async def update_key(self, key_id: str, request: UpdateKeyRequest) -> StoredKey:
        """Change the limits and the group that the request names, from the next request with the key on.

        The rest of the key stays unchanged.

        Raises:
            ApiError: 404 if there is no such key or it was revoked.
        """
        stored = await self.store.update(key_id, request.apply_to)
        if stored is None:
            raise _key_not_found()
        return stored

    async def revoke_key(self, key_id: str) -> None:
        """Revoke the key immediately and permanently.

        Raises:
            ApiError: 404 if there is no such key or it was revoked already.
        """
        if not await self.store.revoke(key_id, self.now()):
            raise _key_not_found()


def _key_not_found() -> ApiError:
    return ApiError(404, "not_found_error", "There is no such key, or it was revoked.", code="key_not_found")
