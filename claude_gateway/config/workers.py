"""Settings for the worker processes of chats, and for the queue."""

from pydantic import Field

from claude_gateway.config.base import SettingsGroup
from workers.core.settings import PoolSettings


class WorkerSettings(SettingsGroup):
    """Number and lifetime of the processes for chats, number of retries, and limits of the queue."""

    chat_workers: int = Field(
        2, ge=1, le=64, description="Maximum number of chats that run at the same time; each needs one process."
    )
    max_chat_processes: int | None = Field(
        None,
        ge=1,
        le=1_000,
        description="Maximum number of chat processes, including the spares and the processes that keep a conversation "
        "for its next request. Default: as many as fit into two thirds of the memory of the machine or of its control "
        "group; `claude-gateway doctor` shows the number. Never less than `CHAT_WORKERS`.",
    )
    chat_process_idle_seconds: float = Field(
        900,
        ge=1,
        description="Time after which a chat process without a request ends. `CHAT_SPARE_WORKERS` processes stay. If "
        "the memory becomes scarce, the processes without a request end at once.",
    )
    chat_spare_workers: int = Field(
        1,
        ge=0,
        le=16,
        description="Processes that are started in advance and belong to no key, so that no request waits for a "
        "process to start. Set it to 0 on a machine of 1 GB.",
    )
    max_worker_jobs: int = Field(500, ge=1, description="Number of jobs after which a process is replaced.")
    max_worker_age_seconds: float = Field(6 * 3600, gt=0, description="Age at which a process is replaced.")
    max_worker_rss_mib: int = Field(700, ge=200, description="Resident memory at which a process is replaced, in MiB.")
    max_upstream_retries: int = Field(
        1, ge=0, le=10, description="Maximum number of times that Claude Code itself repeats a request to the upstream."
    )
    max_queued_jobs: int = Field(
        100, ge=0, description="Maximum number of jobs that wait for a worker; one more gets 429."
    )
    queue_timeout_seconds: float = Field(60, gt=0, description="Maximum time that a job waits for a worker; then 429.")
    max_timeout: int = Field(
        600_000, gt=0, description="Maximum time that a request may take, in milliseconds; then 504."
    )

    def pool_settings(self) -> PoolSettings:
        """Return the engine's settings for the pool of chat workers."""
        return PoolSettings(
            worker_count=self.chat_workers,
            spare_count=self.chat_spare_workers,
            max_jobs=self.max_worker_jobs,
            max_age_seconds=self.max_worker_age_seconds,
            max_rss_mib=self.max_worker_rss_mib,
            max_processes=self.max_chat_processes,
            idle_seconds=self.chat_process_idle_seconds,
        )
