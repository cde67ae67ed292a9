"""The processes that answer, and the queue in front of them."""

from pydantic import Field

from claude_gateway.config.group import Group
from workers.settings import PoolSettings


class Work(Group):
    """Workers for chats, and how long who waits for them."""

    chat_workers: int = Field(2, ge=1, le=64, description="Chats answered at the same time; one process each.")
    chat_spare_workers: int = Field(
        1,
        ge=0,
        le=16,
        description="Booted processes kept beyond `CHAT_WORKERS`, so that nobody waits for a boot.",
    )
    worker_max_jobs: int = Field(500, ge=1, description="Jobs after which a process is replaced.")
    worker_max_age_seconds: float = Field(6 * 3600, gt=0, description="Age at which a process is replaced.")
    worker_max_rss_mib: int = Field(700, ge=200, description="Memory at which a process is replaced.")
    upstream_retries: int = Field(
        1, ge=0, le=10, description="How often Claude Code asks the upstream again by itself."
    )
    queue_limit: int = Field(100, ge=0, description="Requests that may wait for a worker; more get 429.")
    queue_timeout_seconds: float = Field(60, gt=0, description="The longest wait for a worker; then 429.")
    max_timeout: int = Field(600_000, gt=0, description="The longest a request may take, in milliseconds; then 504.")

    def pool(self) -> PoolSettings:
        return PoolSettings(
            workers=self.chat_workers,
            spares=self.chat_spare_workers,
            max_jobs=self.worker_max_jobs,
            max_age=self.worker_max_age_seconds,
            max_rss_mib=self.worker_max_rss_mib,
        )
