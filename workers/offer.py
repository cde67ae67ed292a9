"""The tools that a process is offered beside those of its own."""

from workers.job import Tool
from workers.link import Link


class Offer:
    def __init__(self, link: Link) -> None:
        self._link = link
        self._tools: tuple[Tool, ...] = ()
        self._sets = 0

    async def make(self, tools: tuple[Tool, ...], deadline: float) -> None:
        """Make these tools, and no others, those of the next request. Raises `WorkerError`."""
        if tools == self._tools:
            return
        self._tools = tools
        protocol = self._link.protocol
        protocol.offer(tools)
        # A name of its own for each set: under a name that it knows, the CLI goes on with the tools of before.
        self._sets += 1
        names = (f"caller{self._sets}",) if tools else ()
        await self._link.write(protocol.set_servers(names), deadline=deadline)
        await self._link.answered(deadline)
        while tools and not protocol.list_asked:
            await self._link.next(deadline)

    def forget(self) -> None:
        """The process is another one."""
        self._tools = ()
