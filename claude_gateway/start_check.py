"""Whether a job may begin, as things stand now: its key, what that may do, its model, what that may still spend.

A request is checked when it comes. Its jobs may begin much later: behind another request of the session, in the queue,
in the background, or after an answer that was not the JSON asked for. What changed meanwhile holds for whatever has not
begun.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from claude_gateway.access.key_ring import KeyRing
from claude_gateway.access.keys import Key
from claude_gateway.ledger.entry import VISIT
from claude_gateway.ledger.ledger import Ledger
from claude_gateway.models.catalogue import Catalogue, model_not_allowed
from workers.job import ChatJob


@dataclass(frozen=True, slots=True)
class StartCheck:
    """`catalogue` is asked for each time, because the models change while the gateway runs."""

    key_ring: KeyRing
    catalogue: Callable[[], Catalogue]
    ledger: Ledger

    async def key_of(self, job: ChatJob) -> Key:
        """The key of the job as it is now.

        Raises `ApiError`: 401 where the key was revoked, has expired or was given another secret, 403 where it lacks a
        scope or may not use the model, 429 where its budget is spent, 503 where the keys cannot be read.
        """
        await self.key_ring.follow()
        visit = VISIT.get()
        credential = visit.credential if visit is not None and visit.key == job.owner else b""
        key = self.key_ring.current(job.owner, credential)
        for scope in scopes_of(job):
            key.require(scope)
        if not self.catalogue().allows(key.models, job.model):
            raise model_not_allowed()
        self.ledger.require_budget(key)
        return key


def scopes_of(job: ChatJob) -> Iterator[str]:
    """What a key must be allowed for this job."""
    yield "chat"
    if job.work is not None:
        yield "tools"
        if job.work.remote:
            yield "mcp"
