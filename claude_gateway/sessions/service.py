"""Service that opens sessions for requests, lists and deletes sessions, and removes expired sessions."""

import time
import unicodedata
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Protocol

from claude_gateway.core.errors import ApiError, bad_request
from claude_gateway.core.periodic import run_every
from claude_gateway.sessions.loaded_memory import LoadedMemory
from claude_gateway.sessions.session import NoSession, OpenSession, Session, SessionLimits
from claude_gateway.sessions.session_lock import SessionBusy, SessionLocks
from claude_gateway.sessions.session_store import (
    KeySessionTotals,
    SessionInfo,
    SessionSnapshot,
    SessionStore,
    SessionTotals,
)
from claude_gateway.sessions.thinking_cache import ThinkingCache

CLEANUP_INTERVAL_SECONDS = 300.0
_MAX_ID_CHARS = 256
_MAX_LISTED_SESSIONS = 1_000
_MAX_LISTED_KEYS = 100
_BUSY_RETRY_SECONDS = 5


class SessionResources(Protocol):
    """Interface to the resources that belong to sessions, such as workspaces and the agents that work in workspaces."""

    async def end_session(self, key_id: str, session_id: str) -> None:
        """Remove the resources of a deleted session."""
        ...

    async def retain_sessions(self, sessions: Collection[tuple[str, str]]) -> None:
        """Remove the resources of all sessions that are not in `sessions`.

        Args:
            sessions: The sessions to keep, as pairs of key id and session id.
        """
        ...


class _NoResources:
    async def end_session(self, key_id: str, session_id: str) -> None:
        pass

    async def retain_sessions(self, sessions: Collection[tuple[str, str]]) -> None:
        pass


class SessionService:
    """Opens, lists and deletes the sessions of all keys.

    Args:
        store: Stored sessions.
        limits: Limits on the number and size of sessions.
        locks: Locks that let one request at a time use a session.
        now: Returns the current time in epoch seconds.
        resources: Removes the resources of a session when the session ends.
        loaded_memory: Limit on the memory that loaded conversations use; None if the memory is not limited.
    """

    def __init__(
        self,
        store: SessionStore,
        limits: SessionLimits,
        locks: SessionLocks,
        now: Callable[[], float] = time.time,
        resources: SessionResources | None = None,
        loaded_memory: LoadedMemory | None = None,
    ) -> None:
        self.limits = limits
        self._store = store
        self._locks = locks
        self._now = now
        self._resources = resources or _NoResources()
        self._loaded_memory = loaded_memory or LoadedMemory()
        self._used_row_ids: set[int] = set()
        self._thinking_cache = ThinkingCache()

    def no_session(self, key_id: str) -> NoSession:
        """Return the session for a request without a session id."""
        return NoSession(self._thinking_cache, key_id)

    @asynccontextmanager
    async def open_session(self, key_id: str, id_: str | None) -> AsyncIterator[Session]:
        """Open a session while a `with` block runs. If another request uses the session, wait until that request ends.

        Yields:
            The session, or a `NoSession` if `id_` is None.

        Raises:
            ApiError: 400 if the id is invalid, 409 if other requests use the session for too long, 503 if there is not
                enough memory to load the session.
            WorkerError: SHUTTING_DOWN if the gateway is shutting down.
        """
        if not id_:
            yield self.no_session(key_id)
            return
        check_session_id(id_)
        try:
            async with self._locks.acquire(key_id, id_), self._load_snapshot(key_id, id_) as snapshot:
                session = OpenSession(self._store, self.limits, self._now, key_id, id_, snapshot, self._thinking_cache)
                with self._protect_from_cleanup(snapshot):
                    try:
                        yield session
                    finally:
                        await session.close()
        except SessionBusy:
            raise ApiError(
                409,
                "validation_error",
                "Other requests of this session are still running. Try again later.",
                code="session_busy",
                retry_after=_BUSY_RETRY_SECONDS,
            ) from None

    @asynccontextmanager
    async def _load_snapshot(self, key_id: str, id_: str) -> AsyncIterator[SessionSnapshot | None]:
        """Load a session, and reserve memory for the loaded session while a `with` block runs.

        Raises:
            ApiError: 503 if not enough memory becomes free in time.
        """
        size = await self._store.get_size(key_id, id_, self._now())
        reservation = await self._loaded_memory.reserve(key_id, size)
        try:
            yield await self._store.read_snapshot(key_id, id_, self._now())
        finally:
            reservation.release()

    def reject_waiters(self, retry_after: float) -> None:
        """Reject all requests that wait for a session, because the gateway is shutting down.

        Args:
            retry_after: Number of seconds after which the clients should retry.
        """
        self._locks.reject_waiters(retry_after)

    @contextmanager
    def _protect_from_cleanup(self, snapshot: SessionSnapshot | None) -> Iterator[None]:
        """Prevent the cleanup from deleting a session while a `with` block runs.

        Without this protection, the cleanup could delete a session that expires while a request uses it.
        """
        if snapshot is None:
            yield
            return
        self._used_row_ids.add(snapshot.row_id)
        try:
            yield
        finally:
            self._used_row_ids.discard(snapshot.row_id)

    async def list_sessions(self, key_id: str) -> list[SessionInfo]:
        """List the sessions of a key. The most recently used session comes first."""
        return await self._store.list_infos(key_id, self._now(), _MAX_LISTED_SESSIONS)

    async def get_totals(self, key_id: str) -> SessionTotals:
        """Return the number and the size of a key's sessions."""
        return await self._store.get_totals(key_id, self._now())

    async def list_key_totals(self) -> list[KeySessionTotals]:
        """List the keys that have sessions. The key with the most sessions comes first."""
        return await self._store.list_key_totals(self._now(), _MAX_LISTED_KEYS)

    async def get_session(self, key_id: str, id_: str) -> SessionInfo:
        """Return the description of a session.

        Raises:
            ApiError: 404 if the key has no such session.
        """
        info = await self._store.get_info(key_id, id_, self._now())
        if info is None:
            raise _session_not_found()
        return info

    async def ensure_session(self, key_id: str, id_: str) -> None:
        """Create an empty session if the key has no session with this id.

        Raises:
            ApiError: 429 if the key has too many sessions.
        """
        if await self._store.get_info(key_id, id_, self._now()) is None:
            session = OpenSession(self._store, self.limits, self._now, key_id, id_, None, self._thinking_cache)
            await session.create()

    async def delete_session(self, key_id: str, id_: str) -> None:
        """Delete a session.

        A request that is using the session continues, and fails with 409 when the gateway stores the reply.

        Raises:
            ApiError: 404 if the key has no such session.
        """
        if not await self._store.delete(key_id, id_, self._now()):
            raise _session_not_found()
        await self._resources.end_session(key_id, id_)

    async def delete_expired(self) -> int:
        """Delete all expired sessions and their resources, and return the number of deleted sessions."""
        deleted_count = await self._store.delete_expired(self._now(), self._used_row_ids)
        await self._resources.retain_sessions(await self._store.list_ids())
        return deleted_count

    @asynccontextmanager
    async def run_cleanup(self) -> AsyncIterator[None]:
        """Delete expired sessions now, and then every `CLEANUP_INTERVAL_SECONDS` while a `with` block runs."""
        async with run_every(
            CLEANUP_INTERVAL_SECONDS,
            self.delete_expired,
            task_name="the deletion of expired sessions",
            starts_at_once=True,
        ):
            yield


def check_session_id(id_: str) -> None:
    """Check that the id of a session is valid.

    Raises:
        ApiError: 400 if the id is invalid.
    """
    if len(id_) > _MAX_ID_CHARS or any(unicodedata.category(letter) == "Cc" for letter in id_):
        raise bad_request("session_id", f"must have at most {_MAX_ID_CHARS} characters and no control characters")


def _session_not_found() -> ApiError:
    return ApiError(404, "not_found_error", "There is no such session.", code="session_not_found")
