"""Checks directly before a job starts whether its API key may still run the job.

The gateway checks a request when the request arrives. The jobs of the request may start much later. For example, they
wait for another request of the session or in the queue, they run in the background, or they repeat a reply that was not
the requested JSON. If the operator changes keys, models or budgets in between, the changes apply to jobs that have not
started.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from claude_gateway.auth.authenticator import Authenticator
from claude_gateway.auth.models import ApiKey
from claude_gateway.model_catalog.catalog import ModelCatalog, model_not_allowed
from claude_gateway.usage.recorder import UsageRecorder
from workers.core.job import ChatJob


@dataclass(frozen=True, slots=True)
class StartCheck:
    """Checks jobs against the present state of keys, models and budgets.

    Attributes:
        authenticator: Provides the present state of the keys.
        catalog: Returns the present model catalog; models change while the gateway runs.
        usage_recorder: Provides the amounts that each key has spent.
    """

    authenticator: Authenticator
    catalog: Callable[[], ModelCatalog]
    usage_recorder: UsageRecorder

    async def check_start(self, job: ChatJob, credential: bytes) -> ApiKey:
        """Return the key of the job with its present permissions.

        Args:
            job: The job.
            credential: Digest of the secret in the request; empty if the request had no secret.

        Raises:
            ApiError: 401 if the key was revoked, has expired or has another secret, 403 if it lacks a scope or may not
                use the model, 429 if its budget is exceeded, 503 if the keys cannot be read.
        """
        await self.authenticator.refresh()
        key = self.authenticator.recheck_key(job.key_id, credential)
        for scope in required_scopes(job):
            key.require_scope(scope)
        if not self.catalog().is_allowed(key.models, job.model):
            raise model_not_allowed()
        self.usage_recorder.check_key_budget(key)
        return key


def required_scopes(job: ChatJob) -> Iterator[str]:
    """Yield the scopes that a key needs for the job."""
    yield "chat"
    if job.agent_options is not None:
        yield "tools"
        if job.agent_options.remote_tools:
            yield "mcp"
