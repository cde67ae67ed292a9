"""Removes the agent process, the workspace and the stored tool choice of a session after the session has ended."""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol

from claude_gateway.builtin_tools.choice_store import ToolChoiceStore


class AgentSessions(Protocol):
    """Interface to the agent processes that work in sessions. The engine implements this interface."""

    async def end_session(self, key_id: str, session_id: str) -> None:
        """End the agent of a session and remove the workspace of the session."""
        ...

    async def retain_sessions(self, sessions: Collection[tuple[str, str]]) -> None:
        """End the agents and remove the workspaces of all sessions that are not in `sessions`.

        Args:
            sessions: The sessions to keep, as pairs of key id and session id.
        """
        ...


@dataclass(frozen=True, slots=True)
class SessionCleanup:
    """Removes the resources of ended sessions. It implements `claude_gateway.sessions.service.SessionResources`.

    Attributes:
        agents: Ends the agents of sessions, and removes the workspaces of sessions.
        tool_choices: Stores the tools that clients have chosen for sessions.
        choice_ttl_seconds: Time for which the gateway keeps a tool choice of a session that does not exist. A client
            may store a tool choice before it creates the session.
        now: Returns the current time in epoch seconds.
    """

    agents: AgentSessions
    tool_choices: ToolChoiceStore
    choice_ttl_seconds: float
    now: Callable[[], float] = time.time

    async def end_session(self, key_id: str, session_id: str) -> None:
        """Remove the resources of a deleted session."""
        await self.agents.end_session(key_id, session_id)
        await self.tool_choices.delete(key_id, session_id)

    async def retain_sessions(self, sessions: Collection[tuple[str, str]]) -> None:
        """Remove the agents and workspaces of all sessions that are not in `sessions`, and the outdated tool choices.

        Args:
            sessions: The sessions to keep, as pairs of key id and session id.
        """
        await self.agents.retain_sessions(sessions)
        await self.tool_choices.delete_stale(self.now() - self.choice_ttl_seconds)
