"""Selects the built-in tools and MCP tools for the jobs of a key, and stores the tool choices of the key."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

from claude_gateway.auth.models import ApiKey
from claude_gateway.builtin_tools.catalog import (
    DEFAULT_TOOLS,
    ToolChoices,
    first_allowed,
    first_disallowed,
    is_mcp_tool_name,
    resolve_tools,
)
from claude_gateway.builtin_tools.choice_store import ALL_SESSIONS, ToolChoiceStore
from claude_gateway.builtin_tools.counters import ToolCounters
from claude_gateway.builtin_tools.hosted_tool_mapping import map_hosted_tools
from claude_gateway.core.errors import ApiError
from claude_gateway.dialects.common.tools.hosted_tools import HostedTool, format_omission_note
from claude_gateway.mcp_servers.catalog import select_tools
from workers.core.job import ChatJob, RemoteToolResult, ToolDefinition, ToolProgressFormat
from workers.params.generation_params import fit_to_model

_MAX_CONFIGURED_SESSIONS = 1_000
# A call of this tool can name any model. The CLI uses the named model without asking the gateway.
_SUBAGENT_TOOL = "Agent"


class CommandSupport(Protocol):
    """Interface that tells whether the engine can run commands for Claude."""

    @property
    def sandbox_unavailable_reason(self) -> str:
        """Reason why there is no sandbox; "" if there is one."""
        ...

    @property
    def can_run_commands(self) -> bool:
        """Whether jobs may run commands."""
        ...


class McpToolSource(Protocol):
    """Interface to the tools of the MCP servers that clients have registered."""

    def list_tools(self, key_id: str) -> tuple[ToolDefinition, ...]:
        """Return the tools of all connected servers of the key."""
        ...

    async def call_tool(self, key_id: str, tool_name: str, arguments: Mapping[str, Any]) -> RemoteToolResult:
        """Call a tool of one of the key's servers."""
        ...


@dataclass(frozen=True, slots=True)
class ToolRequest:
    """The fields of a chat request that concern built-in tools, MCP tools and hosted tools.

    Attributes:
        enable_tools: Whether the client requests Claude's built-in tools and the MCP tools of its key.
        stream_progress: Whether the client wants to receive the progress of tool calls.
        session_id: Session of the request; None without a session.
        hosted_tools: Tools of the request that another provider would run on its servers.
        supports_tool_calls: Whether the dialect can express tool calls that the client does not execute.
    """

    enable_tools: bool
    stream_progress: bool
    session_id: str | None
    hosted_tools: tuple[HostedTool, ...] = ()
    supports_tool_calls: bool = False

    @property
    def progress_mode(self) -> ToolProgressFormat | None:
        """Format in which the client receives the progress of tool calls; None if the client does not want progress."""
        if not self.stream_progress:
            return None
        return "calls" if self.supports_tool_calls else "thoughts"


@dataclass(frozen=True, slots=True)
class BuiltinToolService:
    """Selects the tools of each job and stores the tool choices of keys.

    Attributes:
        command_support: Tells whether jobs can run commands.
        choice_store: Stored tool choices of keys and sessions.
        counters: Usage counters of tools.
        mcp_tools: Tools of the keys' MCP servers.
        now: Clock in epoch seconds.
    """

    command_support: CommandSupport
    choice_store: ToolChoiceStore
    counters: ToolCounters
    mcp_tools: McpToolSource
    now: Callable[[], float] = time.time

    @property
    def no_commands_reason(self) -> str:
        """Reason why jobs cannot run commands; "" if they can."""
        if self.command_support.can_run_commands:
            return ""
        reason = self.command_support.sandbox_unavailable_reason
        return f"no sandbox for commands: {reason}; ALLOW_UNSANDBOXED_TOOLS=1 allows commands without one"

    async def attach_tools(
        self, job: ChatJob, key: ApiKey, header_choices: ToolChoices, request: ToolRequest
    ) -> tuple[ChatJob, list[str]]:
        """Return the job with the tools that the client requested, and a note for each omitted tool.

        If the key may not use the hosted tools, the gateway omits them with a note, because many clients always request
        hosted tools.

        Raises:
            ApiError: 403 if the request enables tools and the key lacks the scope `tools`.
        """
        if request.enable_tools:
            key.require_scope("tools")
        elif "tools" not in key.scopes:
            return job, [
                format_omission_note(tool.field_path, tool.name, "this key lacks the scope 'tools'")
                for tool in request.hosted_tools
            ]
        session_choices = [await self.choice_store.read(key.id, request.session_id)] if request.session_id else []
        choices = [header_choices, *session_choices, await self.choice_store.read(key.id, ALL_SESSIONS)]
        remote_tools, missing = self.select_mcp_tools(key, choices) if request.enable_tools else ((), [])
        names, mapped = map_hosted_tools(request.hosted_tools, choices, no_commands_reason=self.no_commands_reason)
        if not request.enable_tools:
            choices.insert(0, ToolChoices(allowed=names))
        elif names:
            allowed = first_allowed(choices)
            choices.insert(0, ToolChoices(allowed=tuple({*(DEFAULT_TOOLS if allowed is None else allowed), *names})))
        options, _, omitted = resolve_tools(choices, no_commands_reason=self.no_commands_reason)
        notes = [*mapped, *omitted, *missing]
        builtin_tools = options.builtin_tools
        if key.models and _SUBAGENT_TOOL in builtin_tools:
            builtin_tools = tuple(name for name in builtin_tools if name != _SUBAGENT_TOOL)
            notes.append("Task: omitted (a sub-agent could use a model that this key may not use)")
        if not builtin_tools and not remote_tools:
            return job, [*notes, *(["enable_tools: ignored (no tool is available)"] if request.enable_tools else [])]
        options = replace(
            options,
            builtin_tools=builtin_tools,
            workspace_id=request.session_id or None,
            progress_format=request.progress_mode,
            final_text_only=job.params.output_schema is not None,
            remote_tools=remote_tools,
            call_remote_tool=partial(self.mcp_tools.call_tool, key.id) if remote_tools else None,
        )
        return replace(job, agent_options=options), notes

    def select_mcp_tools(
        self, key: ApiKey, choices: Sequence[ToolChoices]
    ) -> tuple[tuple[ToolDefinition, ...], list[str]]:
        """Return the key's MCP tools that the choices allow, and a note for each chosen name that no MCP tool has.

        If no source chooses the allowed tools, the choices allow all MCP tools.
        """
        tools = self.mcp_tools.list_tools(key.id) if "mcp" in key.scopes else ()
        allowed = first_allowed(choices)
        requested = [name for name in allowed or () if is_mcp_tool_name(name)]
        disallowed = {tool.name for tool in select_tools(tools, first_disallowed(choices))}
        selected = tools if allowed is None else select_tools(tools, requested)
        missing = [
            f"{name}: omitted (no connected MCP server has it)" for name in requested if not select_tools(tools, [name])
        ]
        return tuple(tool for tool in selected if tool.name not in disallowed), missing

    async def configure(self, key_id: str, session_id: str, choices: ToolChoices) -> None:
        """Store the key's tool choices for one session, or for all sessions if `session_id` is `ALL_SESSIONS`.

        Raises:
            ApiError: 429 if the key has configured too many sessions.
        """
        if await self.choice_store.count(key_id) >= _MAX_CONFIGURED_SESSIONS and session_id != ALL_SESSIONS:
            raise ApiError(
                429,
                "rate_limit_exceeded",
                f"This key has configured the tools of {_MAX_CONFIGURED_SESSIONS} sessions, which is the limit. "
                "Delete a session, or omit session_id to configure all sessions.",
                code="too_many_tool_configurations",
                retry_after=3600,
            )
        await self.choice_store.write(key_id, session_id, choices, self.now())


def with_thinking_budget(job: ChatJob, budget_tokens: int) -> tuple[ChatJob, list[str]]:
    """Return the job with another thinking budget, and a note for each parameter that does not fit the model.

    A budget of 0 turns thinking off.
    """
    requested = replace(
        job.params, thinking=budget_tokens or "off", thinking_display="summarized" if budget_tokens else None
    )
    params, notes = fit_to_model(requested, job.model, job.turns)
    return replace(job, params=params), notes
