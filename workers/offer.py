"""The tools that a process is offered beside those of its own."""

from collections.abc import Collection

from workers.job import ChatJob, Tool, ToolUse
from workers.link import Link
from workers.protocol import OFFERED_AS


def names_to_offer(job: ChatJob) -> frozenset[str]:
    """Return the names of a job's tools and of those that its history calls: the model may call such a tool again, and
    the CLI reads an answer to its end only where it knows the tools that are called."""
    if not job.tools:
        return frozenset()
    called = (block.name for turn in job.turns for block in turn.blocks if isinstance(block, ToolUse))
    return frozenset((*(tool.name for tool in job.tools), *called))


class Offer:
    def __init__(self, link: Link) -> None:
        self._link = link
        self._tools: tuple[Tool, ...] = ()
        self._sets = 0

    async def make_names(self, names: Collection[str], deadline: float) -> None:
        """Offer the names alone. The definitions travel in the body of the request, where the CLI leaves them as they
        are; through the offer it shortens and rewrites them. Raises `WorkerError`."""
        offered = sorted(OFFERED_AS.get(name, name) for name in names)
        await self.make(tuple(Tool(name, "", {}) for name in offered), deadline)

    async def make(self, tools: tuple[Tool, ...], deadline: float) -> None:
        """Make these tools, and no others, those of the next request. Raises `WorkerError`."""
        protocol = self._link.protocol
        if tools != self._tools:
            self._tools = tools
            protocol.offer(tools)
            # A name of its own for each set: under a name that it knows, the CLI goes on with the tools of before.
            self._sets += 1
            names = (f"caller{self._sets}",) if tools else ()
            await self._link.write(protocol.set_servers(names), deadline=deadline)
            await self._link.answered(deadline)
        # The client of the job before may have left while the CLI was about to ask.
        while tools and not protocol.list_asked:
            await self._link.next(deadline)

    def forget(self) -> None:
        """The process is another one."""
        self._tools = ()
