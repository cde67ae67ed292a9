"""Stores API keys in the database, with the permissions of each key and the digest of its secret.

The gateway and the command `claude-gateway keys` may write at the same time.
"""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from claude_gateway.auth.models import GROUP_NAME_PATTERN, LOGIN_NAME_PATTERN, ApiKey, Budget, KeyLimits, StoredKey
from claude_gateway.core.periodic import Sleep, run_every
from claude_gateway.storage.database import Database, Row, StorageUnavailable
from claude_gateway.storage.row_reader import (
    read_rows,
    require_count,
    require_number,
    require_text,
    require_texts,
    require_timestamp,
)
from claude_gateway.storage.shared_counter import SharedChangeCounter

_log = logging.getLogger(__name__)

# If the file of the change counter is deleted, the gateway misses key changes by other processes for at most this time.
_CHECK_INTERVAL_SECONDS = 1.0
# Maximum number of keys that are not revoked. The gateway reads all of them whenever one key has changed.
MAX_KEYS = 1_000
_DIGEST_BYTES = 32
KEY_COLUMNS = "id, digest, name, allowed, created_at, expires_at, revoked_at"


class TooManyKeys(Exception):
    """Raised if there are already `MAX_KEYS` keys that are not revoked."""


class KeyStore:
    """Reads and writes API keys.

    Args:
        database: The gateway's database.
        change_counter: Counter in a file beside the database, by which processes notice each other's changes.
    """

    def __init__(self, database: Database, change_counter: SharedChangeCounter) -> None:
        self._database = database
        self._change_counter = change_counter
        self._counter_failure = ""

    @property
    def version(self) -> tuple[int, int]:
        """Value that changes whenever any process changes a key."""
        return self._change_counter.value

    async def check_change_counter(self) -> None:
        """Open the change counter again if its file was deleted or replaced.

        All processes must use the same file.
        """
        try:
            if await asyncio.to_thread(self._change_counter.reopen_if_replaced):
                _log.warning("created the file beside the database that counts changes of keys again; it was missing")
            failure = ""
        except OSError as error:
            failure = str(error)
            # Log the same failure only once. Without the file, other processes cannot change keys either.
            if failure != self._counter_failure:
                _log.error("cannot open the file beside the database that counts changes of keys: %s", failure)
        self._counter_failure = failure

    async def load_active_keys(self) -> tuple[bool, Sequence[StoredKey]]:
        """Return whether a key was ever created, and the keys that are not revoked."""
        # Use a transaction, because it waits until another process has finished writing. See `SharedChangeCounter`.
        async with self._database.transaction() as run:
            ((had_keys,),) = await run("SELECT EXISTS (SELECT 1 FROM keys)")
            rows = await run(f"SELECT {KEY_COLUMNS} FROM keys WHERE revoked_at IS NULL")  # noqa: S608
        return bool(had_keys), read_rows(rows, read_key, label_key)

    async def list_keys(self) -> list[StoredKey]:
        """Return all keys. Active keys come before revoked keys, and newer keys before older keys in each group."""
        rows = await self._database.read(
            f"SELECT {KEY_COLUMNS} FROM keys ORDER BY revoked_at IS NOT NULL, created_at DESC, id LIMIT ?",  # noqa: S608
            (2 * MAX_KEYS,),
        )
        return read_rows(rows, read_key, label_key)

    async def add(self, stored: StoredKey) -> None:
        """Insert a key.

        Raises:
            TooManyKeys: If there are `MAX_KEYS` keys already.
        """
        key = stored.key
        async with self._database.transaction() as run:
            ((key_count,),) = await run("SELECT count(*) FROM keys WHERE revoked_at IS NULL")
            if key_count >= MAX_KEYS:
                raise TooManyKeys
            self._change_counter.increment()
            await run(
                "INSERT INTO keys (id, digest, name, allowed, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?)",
                (key.id, stored.digest, key.name, _encode_permissions(key), stored.created_at, stored.expires_at),
            )

    async def revoke(self, key_id: str, now: float) -> bool:
        """Revoke a key; return False if there is no such key or it was revoked already."""
        return bool(await self._update(key_id, "revoked_at = ?", now))

    async def replace_digest(self, key_id: str, digest: bytes) -> StoredKey | None:
        """Store the digest of the key's new secret; return None if there is no such key or it was revoked."""
        rows = await self._update(key_id, "digest = ?", digest)
        return next(iter(read_rows(rows, read_key, label_key)), None)

    async def update(self, key_id: str, change: Callable[[ApiKey], ApiKey]) -> StoredKey | None:
        """Replace the permissions of a key by those that `change` returns, and return the key.

        The result is None if there is no such key or it was revoked.
        """
        async with self._database.transaction() as run:
            rows = await run(f"SELECT {KEY_COLUMNS} FROM keys WHERE id = ? AND revoked_at IS NULL", (key_id,))  # noqa: S608
            stored = next(iter(read_rows(rows, read_key, label_key)), None)
            if stored is None:
                return None
            stored = replace(stored, key=change(stored.key))
            self._change_counter.increment()
            await run("UPDATE keys SET allowed = ? WHERE id = ?", (_encode_permissions(stored.key), key_id))
        return stored

    async def _update(self, key_id: str, assignment: str, value: float | bytes) -> list[Row]:
        async with self._database.transaction() as run:
            self._change_counter.increment()
            return await run(
                f"UPDATE keys SET {assignment} WHERE id = ? AND revoked_at IS NULL RETURNING {KEY_COLUMNS}",  # noqa: S608
                (value, key_id),
            )


@asynccontextmanager
async def open_key_store(database: Database, path: Path, sleep: Sleep = asyncio.sleep) -> AsyncIterator[KeyStore]:
    """Open the store of keys and check its change counter periodically until the context closes.

    Args:
        database: The gateway's database.
        path: Path of the database file; the change counter is beside it.
        sleep: Function that waits between two checks.

    Raises:
        StorageUnavailable: If the change counter cannot be opened.
    """
    try:
        change_counter = await asyncio.to_thread(SharedChangeCounter, path)
    except OSError as error:
        raise StorageUnavailable(f"Cannot use {path.parent}: {error.strerror}. Set STATE_DIR.") from None
    store = KeyStore(database, change_counter)
    try:
        async with run_every(
            _CHECK_INTERVAL_SECONDS,
            store.check_change_counter,
            task_name="the check of the change counter",
            sleep=sleep,
        ):
            yield store
    finally:
        change_counter.close()


def _encode_permissions(key: ApiKey) -> bytes:
    return orjson.dumps(
        {
            "scopes": sorted(key.scopes),
            "models": key.models,
            "requests_per_minute": dict(key.limits.requests_per_minute),
            "max_concurrent_jobs": key.limits.max_concurrent_jobs,
            "tokens_per_day": key.budget.tokens_per_day,
            "usd_per_day": key.budget.usd_per_day,
            "group": key.group,
            "login": key.login,
        }
    )


def read_key(row: Row) -> StoredKey:
    """Convert a database row to a key. One invalid value makes the whole row invalid, so that its key permits nothing.

    Raises:
        Exception: One of `row_reader.READ_ERRORS` if a value is invalid.
    """
    id_, digest, name, allowed, created_at, expires_at, revoked_at = row
    permissions: dict[str, Any] = orjson.loads(allowed)
    tokens, usd = permissions["tokens_per_day"], permissions["usd_per_day"]
    rates, max_jobs = permissions["requests_per_minute"], permissions["max_concurrent_jobs"]
    if not isinstance(digest, bytes) or len(digest) != _DIGEST_BYTES:
        raise ValueError("its digest is invalid")
    key = ApiKey(
        require_text(id_),
        frozenset(require_texts(permissions["scopes"])),
        require_text(name),
        require_texts(permissions["models"]),
        KeyLimits(
            {require_text(group): require_count(limit, 1) for group, limit in rates.items()},
            None if max_jobs is None else require_count(max_jobs, 1),
        ),
        Budget(None if tokens is None else require_count(tokens), None if usd is None else require_number(usd)),
        _read_name(permissions, "group", GROUP_NAME_PATTERN),
        _read_name(permissions, "login", LOGIN_NAME_PATTERN),
    )
    expires_at, revoked_at = (None if at is None else require_timestamp(at) for at in (expires_at, revoked_at))
    return StoredKey(key, digest, require_timestamp(created_at), expires_at, revoked_at)


def _read_name(permissions: Mapping[str, Any], field: str, pattern: str) -> str:
    # The permissions of keys that an earlier version stored contain neither a group nor a login.
    name = require_text(permissions.get(field, ""))
    if name and not re.fullmatch(pattern, name):
        raise ValueError(f"the name of its {field} is invalid")
    return name


def label_key(row: Row) -> str:
    """Return a text by which the log identifies the key in a database row."""
    return f"the key {row[0]!r:.80}"
