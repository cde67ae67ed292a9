"""Claude's own tools for the calling key: which, where, how often. What the web layer asks of engine and store."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

from claude_gateway.access.keys import Key
from claude_gateway.errors import ApiError
from claude_gateway.mcp_servers.offered import chosen
from claude_gateway.own_tools.built_in import USUAL, ToolChoices, allowed_by, barred_by, choose, is_remote
from claude_gateway.own_tools.counts import ToolCounts
from claude_gateway.own_tools.stand_ins import stand_ins
from claude_gateway.prompt.hosted_tools import Hosted, left_out
from claude_gateway.stores.tool_choices import ALL, ToolChoiceStore
from workers.job import ChatJob, Progress, RemoteResult, Tool
from workers.tuning import fit

_MOST_CHOICES = 1_000
# The CLI takes whatever model a call of it names, and asks nobody.
_SUB_AGENTS = "Agent"


class Commands(Protocol):
    """What the engine can do with Claude's commands."""

    @property
    def without_box(self) -> str: ...
    @property
    def may_run_commands(self) -> bool: ...


class Servers(Protocol):
    """What MCP servers can do for a key."""

    def tools(self, owner: str) -> tuple[Tool, ...]: ...
    async def call(self, owner: str, name: str, arguments: Mapping[str, Any]) -> RemoteResult: ...


@dataclass(frozen=True, slots=True)
class Asks:
    """Whether the body asks for tools, wants to read of their use, names a session, and asks for tools that another
    provider would run. `as_calls`: its dialect has words for calls that the caller does not carry out."""

    tools: bool
    progress: bool
    session: str | None
    hosted: tuple[Hosted, ...] = ()
    as_calls: bool = False

    @property
    def told_as(self) -> Progress | None:
        if not self.progress:
            return None
        return "calls" if self.as_calls else "thoughts"


@dataclass(frozen=True, slots=True)
class Toolbox:
    """`now` is in seconds of the epoch."""

    engine: Commands
    choices: ToolChoiceStore
    counts: ToolCounts
    servers: Servers
    now: Callable[[], float] = time.time

    @property
    def no_commands(self) -> str:
        """Why Claude runs no commands here, "" where it does."""
        if self.engine.may_run_commands:
            return ""
        return (
            f"there is no sandbox for commands here: {self.engine.without_box}; ALLOW_UNSANDBOXED_TOOLS=1 does without"
        )

    async def equip(self, job: ChatJob, key: Key, headers: ToolChoices, asks: Asks) -> tuple[ChatJob, list[str]]:
        """The job with tools of Claude's own, and what was left out. Raises `ApiError` 403 for a key without the scope
        that asks for tools; the tools of another provider it is only told of: many programs ask for them always."""
        if asks.tools:
            key.require("tools")
        elif "tools" not in key.scopes:
            return job, [f"{left_out(one.place, one.name)}, this key lacks the scope 'tools'" for one in asks.hosted]
        of_session = [await self.choices.read(key.id, asks.session)] if asks.session else []
        choices = [headers, *of_session, await self.choices.read(key.id, ALL)]
        remote, missing = self.remote(key, choices) if asks.tools else ((), [])
        names, told = stand_ins(asks.hosted, choices, commands=self.no_commands)
        if not asks.tools:
            choices.insert(0, ToolChoices(allowed=names))
        elif names:
            allowed = allowed_by(choices)
            choices.insert(0, ToolChoices(allowed=tuple({*(USUAL if allowed is None else allowed), *names})))
        work, _, notes = choose(choices, commands=self.no_commands)
        notes = [*told, *notes, *missing]
        if key.models and _SUB_AGENTS in work.tools:
            work = replace(work, tools=tuple(name for name in work.tools if name != _SUB_AGENTS))
            notes.append("Task: left out, a sub-agent may take a model that this key may not use")
        if not work.tools and not remote:
            return job, [*notes, *(["enable_tools: no tool is left"] if asks.tools else [])]
        last_only = job.tuning.output is not None
        work = replace(work, place=asks.session or None, progress=asks.told_as, last_only=last_only)
        work = replace(work, remote=remote, call=partial(self.servers.call, key.id) if remote else None)
        return replace(job, work=work), notes

    def remote(self, key: Key, choices: Sequence[ToolChoices]) -> tuple[tuple[Tool, ...], list[str]]:
        """The tools of the key's MCP servers that remain, and which of those that were named are not there. Where
        nobody says which tools are allowed, all of them are."""
        tools = self.servers.tools(key.id) if "mcp" in key.scopes else ()
        allowed = allowed_by(choices)
        named = [name for name in allowed or () if is_remote(name)]
        barred = {tool.name for tool in chosen(tools, barred_by(choices))}
        taken = tools if allowed is None else chosen(tools, named)
        missing = [f"{name}: left out, no connected MCP server has it" for name in named if not chosen(tools, [name])]
        return tuple(tool for tool in taken if tool.name not in barred), missing

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
