"""Settings for jobs with Claude's built-in tools, and for the sandbox of these jobs."""

from pydantic import Field

from claude_gateway.config.base import SettingsGroup
from workers.core.settings import AgentSettings


class BuiltinToolSettings(SettingsGroup):
    """Workers for jobs with tools, and the memory and disk space that these jobs may use."""

    agent_workers: int = Field(
        2,
        ge=1,
        le=64,
        description="Maximum number of processes that run a job with Claude's built-in tools or are kept for a session "
        "between two jobs.",
    )
    agent_spare_workers: int = Field(
        1,
        ge=0,
        le=16,
        description="Spare processes for jobs with built-in tools; the gateway starts them after the first such job.",
    )
    agent_uid: int = Field(
        61_999,
        ge=1,
        lt=2**31,
        description="User id of jobs with built-in tools, if the gateway runs as root.",
    )
    max_agent_memory_mib: int = Field(
        2_048,
        ge=512,
        description="Maximum memory of a job with built-in tools and all processes that it started, in MiB; a job that "
        "uses more fails. A single process of a command can allocate 256 MiB less than this.",
    )
    max_session_disk_mib: int = Field(
        512,
        ge=1,
        le=2**20,
        description="Maximum size of the directory of a session, in MiB; a job that exceeds it fails with 413. Each "
        "file or directory counts as at least 4 KiB, and a session may have at most 100,000 of them.",
    )
    max_session_disk_per_key_mib: int | None = Field(
        None,
        ge=1,
        le=2**24,
        description="Maximum size of the directories of all sessions of a key together, in MiB. "
        "Default: eight times `MAX_SESSION_DISK_MIB`.",
    )
    allow_unsandboxed_tools: bool = Field(
        False,
        description="Run Claude's commands even if there is no sandbox. They can then do everything that the user of "
        "the gateway can do.",
    )
    messages_enable_tools: bool = Field(
        False,
        description="Give requests to `/v1/messages` without `tools` Claude's built-in tools, as `enable_tools` does.",
    )

    def agent_settings(self, default_tools: tuple[str, ...]) -> AgentSettings:
        """Return the engine's settings for jobs with tools; spare processes start with `default_tools`."""
        return AgentSettings(
            worker_count=self.agent_workers,
            spare_count=self.agent_spare_workers,
            uid=self.agent_uid,
            default_tools=default_tools,
            max_workspace_bytes=self.max_session_disk_mib * 2**20,
            max_key_disk_bytes=self.max_session_disk_per_key_mib * 2**20 if self.max_session_disk_per_key_mib else None,
            max_memory_mib=self.max_agent_memory_mib,
            allow_unsandboxed=self.allow_unsandboxed_tools,
        )
