"""The keys, in the database: what each may do, and the digest of its secret. Written by the gateway and by the command
`claude-gateway keys`, at the same time too."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from claude_gateway.access.keys import Budget, Key, Rates, StoredKey
from claude_gateway.stores.change_count import ChangeCount
from claude_gateway.stores.damage import count, moment, number, readable, text, texts
from claude_gateway.stores.db import Database, Row, StoreUnusable

_log = logging.getLogger(__name__)

# How soon a change by another process is seen after somebody deleted the file that tells of them.
_LOOK_SECONDS = 1.0
# So many are read whenever one changed.
MOST_KEYS = 1_000
_DIGEST_BYTES = 32
COLUMNS = "id, digest, name, allowed, created_at, expires_at, revoked_at"


class TooManyKeys(Exception):
    """There are `MOST_KEYS` that were not revoked."""


class KeyStore:
    def __init__(self, database: Database, changes: ChangeCount) -> None:
        self._database = database
        self._changes = changes

    @property
    def changes(self) -> tuple[int, int]:
        return self._changes.value

    async def watch(self, seconds: float) -> None:
        """Without end: see every so often that it is still the same count that all processes share."""
        fault = ""
        while True:
            await asyncio.sleep(seconds)
            try:
                if await asyncio.to_thread(self._changes.renew):
                    _log.warning("the file beside the database that tells of changed keys was gone; it is there again")
                fault = ""
            except OSError as error:
                # Nor could anybody change a key without it.
                if fault != (fault := str(error)):
                    _log.error("the file beside the database that tells of changed keys is gone: %s", error)

    async def held(self) -> tuple[bool, Sequence[StoredKey]]:
        """Whether there ever was a key, and those that were not revoked."""
        # A transaction: it waits for another process that is just writing, see `ChangeCount`.
        async with self._database.transaction() as run:
            ((there_was_one,),) = await run("SELECT EXISTS (SELECT 1 FROM keys)")
            rows = await run(f"SELECT {COLUMNS} FROM keys WHERE revoked_at IS NULL")  # noqa: S608
        return bool(there_was_one), readable(rows, read_key, name_key)

    async def listed(self) -> list[StoredKey]:
        """The latest first, the revoked ones behind the others."""
        rows = await self._database.read(
            f"SELECT {COLUMNS} FROM keys ORDER BY revoked_at IS NOT NULL, created_at DESC, id LIMIT ?",  # noqa: S608
            (2 * MOST_KEYS,),
        )
        return readable(rows, read_key, name_key)

    async def add(self, stored: StoredKey) -> None:
        """Raises `TooManyKeys`."""
        key = stored.key
        async with self._database.transaction() as run:
            ((held,),) = await run("SELECT count(*) FROM keys WHERE revoked_at IS NULL")
            if held >= MOST_KEYS:
                raise TooManyKeys
            self._changes.add_one()
            await run(
                "INSERT INTO keys (id, digest, name, allowed, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?)",
                (key.id, stored.digest, key.name, _allowed(key), stored.created_at, stored.expires_at),
            )

    async def revoke(self, id_: str, now: float) -> bool:
        """False where there is none, or none any more."""
        return bool(await self._change(id_, "revoked_at = ?", now))

    async def renew(self, id_: str, digest: bytes) -> StoredKey | None:
        """Another secret for the same key; None where there is none, or none any more."""
        rows = await self._change(id_, "digest = ?", digest)
        return next(iter(readable(rows, read_key, name_key)), None)

    async def limit(self, id_: str, per_minute: Mapping[str, int], concurrent: int | None) -> StoredKey | None:
        """Limits of the key's own, beside those that it has; None where there is none, or none any more."""
        async with self._database.transaction() as run:
            rows = await run(f"SELECT {COLUMNS} FROM keys WHERE id = ? AND revoked_at IS NULL", (id_,))  # noqa: S608
            stored = next(iter(readable(rows, read_key, name_key)), None)
            if stored is None:
                return None
            rates = stored.key.rates
            changed = Rates({**rates.per_minute, **per_minute}, concurrent or rates.concurrent)
            stored = replace(stored, key=replace(stored.key, rates=changed))
            self._changes.add_one()
            await run("UPDATE keys SET allowed = ? WHERE id = ?", (_allowed(stored.key), id_))
        return stored

    async def _change(self, id_: str, change: str, value: float | bytes) -> list[Row]:
        async with self._database.transaction() as run:
            self._changes.add_one()
            return await run(
                f"UPDATE keys SET {change} WHERE id = ? AND revoked_at IS NULL RETURNING {COLUMNS}",  # noqa: S608
                (value, id_),
            )


@asynccontextmanager
async def open_keys(database: Database, path: Path, look_seconds: float = _LOOK_SECONDS) -> AsyncIterator[KeyStore]:
    """The keys in the database, which lies at `path`. Raises `StoreUnusable`."""
    try:
        changes = await asyncio.to_thread(ChangeCount, path)
    except OSError as error:
        raise StoreUnusable(f"Cannot use {path.parent}: {error.strerror}. Set STATE_DIR.") from None
    store = KeyStore(database, changes)
    watch = asyncio.create_task(store.watch(look_seconds))
    try:
        yield store
    finally:
        watch.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watch
        changes.close()


def _allowed(key: Key) -> bytes:
    return orjson.dumps(
        {
            "scopes": sorted(key.scopes),
            "models": key.models,
            "per_minute": dict(key.rates.per_minute),
            "concurrent": key.rates.concurrent,
            "tokens_per_day": key.budget.tokens,
            "usd_per_day": key.budget.usd,
        }
    )


def read_key(row: Row) -> StoredKey:
    """Raises one of `damage.UNREADABLE`: a key of which anything is uncertain opens nothing."""
    id_, digest, name, allowed, created_at, expires_at, revoked_at = row
    may: dict[str, Any] = orjson.loads(allowed)
    tokens, usd, concurrent = may["tokens_per_day"], may["usd_per_day"], may["concurrent"]
    if not isinstance(digest, bytes) or len(digest) != _DIGEST_BYTES:
        raise ValueError("its digest is none")
    key = Key(
        text(id_),
        frozenset(texts(may["scopes"])),
        text(name),
        texts(may["models"]),
        Rates(
            {text(group): count(limit, 1) for group, limit in may["per_minute"].items()},
            None if concurrent is None else count(concurrent, 1),
        ),
        Budget(None if tokens is None else count(tokens), None if usd is None else number(usd)),
    )
    expires_at, revoked_at = (None if one is None else moment(one) for one in (expires_at, revoked_at))
    return StoredKey(key, digest, moment(created_at), expires_at, revoked_at)


def name_key(row: Row) -> str:
    return f"the key {row[0]!r:.80}"
