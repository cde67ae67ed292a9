"""Jobs with Claude's own tools, and the box that they are worked on in."""

from typing import Literal

from pydantic import Field

from claude_gateway.config.group import Group
from workers.settings import AgentSettings


class OwnTools(Group):
    """Who works with tools, and how much room there is for it."""

    agent_workers: int = Field(
        2, ge=1, le=64, description="Jobs with Claude's own tools worked on at the same time, and sessions kept warm."
    )
    agent_spare_workers: int = Field(
        1, ge=0, le=16, description="Booted processes kept for such jobs, from the first one on."
    )
    agent_uid: int = Field(
        61_999, ge=1, lt=2**31, description="Where the gateway runs as root: the user id that such jobs run as."
    )
    agent_memory_mib: int = Field(
        2_048,
        ge=512,
        description="The most memory of one such job, everything it started included; more ends it. One process of a "
        "command is refused more than this less 256.",
    )
    session_disk_mb: int = Field(
        512,
        ge=1,
        le=2**20,
        description="What a session's directory may hold, in megabytes; more ends the job with 413. A file or a "
        "directory counts as four kilobytes at least, and there may be 100,000 together.",
    )
    sessions_disk_mb: int | None = Field(
        None,
        ge=1,
        le=2**24,
        description="What the directories of all sessions of a key may hold together, in megabytes. "
        "Default: eight times `SESSION_DISK_MB`.",
    )
    allow_unsandboxed_tools: bool = Field(
        False,
        description="Run Claude's commands also where there is no sandbox. They can then do all that this user can.",
    )
    messages_tools: Literal["off", "on"] = Field(
        "off",
        description="`on`: a request to `/v1/messages` without `tools` gets Claude's own, "
        "as one with `enable_tools` does.",
    )

    def agents(self, usual_tools: tuple[str, ...]) -> AgentSettings:
        return AgentSettings(
            workers=self.agent_workers,
            spares=self.agent_spare_workers,
            user=self.agent_uid,
            usual_tools=usual_tools,
            disk_bytes=self.session_disk_mb * 2**20,
            owner_disk_bytes=self.sessions_disk_mb * 2**20 if self.sessions_disk_mb else None,
            memory_mib=self.agent_memory_mib,
            unsandboxed=self.allow_unsandboxed_tools,
        )
