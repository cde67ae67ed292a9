"""Registration of client tools and remote tools with a process."""

from collections.abc import Collection

from workers.cli.connection import CliConnection
from workers.cli.protocol import CLI_TOOL_ALIASES
from workers.core.job import ChatJob, ToolDefinition, ToolUse


def collect_tool_names(job: ChatJob) -> frozenset[str]:
    """Return the names of a job's tools and of the tools that its history calls.

    The model may call a tool from the history again, and the CLI reads the whole reply only if all tools that the reply
    calls are registered.
    """
    if not job.tools:
        return frozenset()
    called_names = (block.name for turn in job.turns for block in turn.blocks if isinstance(block, ToolUse))
    return frozenset((*(tool.name for tool in job.tools), *called_names))


class ToolRegistration:
    """The tools that a process gets from the gateway over MCP, in addition to its built-in tools."""

    def __init__(self, connection: CliConnection) -> None:
        self._connection = connection
        self._tools: tuple[ToolDefinition, ...] = ()
        self._registration_count = 0

    async def set_tool_names(self, tool_names: Collection[str], deadline: float) -> None:
        """Register tools only by their names, without definitions.

        The body of the upstream request contains the definitions, so that the CLI does not change them. The CLI would
        shorten and rewrite definitions that it gets over MCP.

        Raises:
            WorkerError: The process did not react.
        """
        if not tool_names and not self._tools:
            return
        registered_names = sorted(CLI_TOOL_ALIASES.get(name, name) for name in tool_names)
        await self.set_tools(tuple(ToolDefinition(name, "", {}) for name in registered_names), deadline)

    async def set_tools(self, tools: tuple[ToolDefinition, ...], deadline: float) -> None:
        """Register these tools for the next request, in place of all tools that were registered before.

        Raises:
            WorkerError: The process did not react.
        """
        protocol = self._connection.protocol
        if tools != self._tools:
            self._tools = tools
            protocol.set_tools(tools)
            # Each set of tools has its own server name. If the name stayed the same, the CLI would keep the previous
            # tools.
            self._registration_count += 1
            server_names = (f"caller{self._registration_count}",) if tools else ()
            await self._connection.write(protocol.set_mcp_servers(server_names), deadline=deadline)
            await self._connection.wait_controls_answered(deadline)
        # If the client of the previous job disconnected, the CLI may not have requested the list yet.
        while tools and not protocol.has_listed_tools:
            await self._connection.next_frame(deadline)

    def reset(self) -> None:
        """Forget the registered tools, because a new process has no tools."""
        self._tools = ()
