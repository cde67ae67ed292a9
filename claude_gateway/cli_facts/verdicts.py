"""Every fact seen on one binary: which hold, and what was seen where one does not."""

import asyncio
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from claude_gateway.cli_facts import agents, callers_tools, chat, media
from claude_gateway.cli_facts.bare_cli import bare_cli
from claude_gateway.cli_facts.fact import DoesNotHold, Fact
from claude_gateway.demo.upstream import stand_in
from workers.protocol import RemoteError

FACTS: tuple[Fact, ...] = (*chat.fact.found, *callers_tools.fact.found, *agents.fact.found, *media.fact.found)
_PATIENCE_SECONDS = 60
_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Verdict:
    """`seen` is what was seen instead, "" where the fact holds."""

    fact: Fact
    seen: str

    @property
    def holds(self) -> bool:
        return not self.seen


async def see(fact: Fact, binary: Path) -> None:
    """Try one fact on a process of its own. Raises `DoesNotHold`, also where it cannot be tried."""
    directory = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="claude-gateway-facts-"))
    try:
        conversation = await asyncio.to_thread(fact.resumed, directory) if fact.resumed else None
        async with (
            asyncio.timeout(_PATIENCE_SECONDS),
            stand_in() as upstream,
            bare_cli(binary, upstream, directory, fact.tools, conversation, fact.login) as cli,
        ):
            await fact.check(cli, upstream)
    except TimeoutError:
        raise DoesNotHold("it fell silent") from None
    except (OSError, EOFError, RemoteError) as error:
        raise DoesNotHold(str(error)) from error
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise DoesNotHold(f"something of another shape: {error!r}") from error
    finally:
        await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)


async def verdicts(binary: Path, facts: Sequence[Fact] = FACTS) -> list[Verdict]:
    """In the order of the facts. A process for each, two at a time."""
    room = asyncio.Semaphore(_AT_ONCE)

    async def verdict(fact: Fact) -> Verdict:
        async with room:
            try:
                await see(fact, binary)
            except DoesNotHold as error:
                return Verdict(fact, str(error))
            return Verdict(fact, "")

    return list(await asyncio.gather(*map(verdict, facts)))
