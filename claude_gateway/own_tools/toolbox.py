"""Claude's own tools for the calling key: which, where, how often. What the web layer asks of engine and store."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from claude_gateway.access.keys import Key
from claude_gateway.errors import ApiError
from claude_gateway.own_tools.built_in import ToolChoices, choose
from claude_gateway.own_tools.counts import ToolCounts
from claude_gateway.stores.tool_choices import ALL, ToolChoiceStore
from workers.job import ChatJob
from workers.tuning import fit

_MOST_CHOICES = 1_000


class Commands(Protocol):
    """What the engine can do with Claude's commands."""

    @property
    def without_box(self) -> str: ...
    @property
    def may_run_commands(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Toolbox:
    """`now` is in seconds of the epoch."""

    engine: Commands
    choices: ToolChoiceStore
    counts: ToolCounts
    now: Callable[[], float] = time.time

    @property
    def no_commands(self) -> str:
        """Why Claude runs no commands here, "" where it does."""
        if self.engine.may_run_commands:
            return ""
        return (
            f"there is no sandbox for commands here: {self.engine.without_box}; ALLOW_UNSANDBOXED_TOOLS=1 does without"
        )

    async def equip(
        self, job: ChatJob, key: Key, asked: ToolChoices, session: str | None, *, progress: bool
    ) -> tuple[ChatJob, list[str]]:
        """The job with tools of Claude's own, and what was left out. Raises `ApiError` 403 for a key without the
        scope."""
        key.require("tools")
        of_session = [await self.choices.read(key.id, session)] if session else []
        choices = [asked, *of_session, await self.choices.read(key.id, ALL)]
        work, _, notes = choose(choices, commands=self.no_commands)
        if not work.tools:
            return job, [*notes, "enable_tools: no tool is left"]
        last_only = job.tuning.output is not None
        work = replace(work, place=session or None, progress=progress, last_only=last_only)
        return replace(job, work=work), notes

    async def configure(self, owner: str, session: str, choices: ToolChoices) -> None:
        """Raises `ApiError` 429 where a key has configured too many sessions."""
        if await self.choices.count(owner) >= _MOST_CHOICES and session != ALL:
            raise ApiError(
                429,
                "rate_limit_exceeded",
                f"This key has configured the tools of {_MOST_CHOICES} sessions.",
                code="too_many_tool_configurations",
                retry_after=3600,
            )
        await self.choices.write(owner, session, choices, self.now())


def with_thinking(job: ChatJob, budget: int) -> tuple[ChatJob, list[str]]:
    """The job with another budget for thoughts, as far as its model takes it; 0 is none."""
    wanted = replace(job.tuning, thinking=budget or "off", display="summarized" if budget else None)
    tuning, notes = fit(wanted, job.model, job.turns)
    return replace(job, tuning=tuning), notes
