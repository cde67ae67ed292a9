"""What a fact about the CLI is: a sentence that is seen to hold, or not, on a binary."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from claude_gateway.cli_facts.bare_cli import Cli
from claude_gateway.demo.upstream import StandIn
from workers.settings import AuthMethod

Check = Callable[[Cli, StandIn], Awaitable[None]]


class DoesNotHold(Exception):
    """A fact is none on this binary; the text is what was seen."""


@dataclass(frozen=True, slots=True)
class Fact:
    """`name` is a sentence with underscores; `why` is what the gateway would do wrong without it. `tools` are those of
    Claude's own that the process is started with, None for a chat worker; `resumed` makes the file it begins with,
    `login` is how a chat worker reaches its model."""

    name: str
    why: str
    check: Check
    tools: tuple[str, ...] | None = None
    resumed: Callable[[Path], Path] | None = None
    login: AuthMethod = AuthMethod.API_KEY

    @property
    def sentence(self) -> str:
        return self.name.replace("_", " ").capitalize() + "."


class Facts:
    """The facts of one module, in the order in which they stand there."""

    def __init__(self) -> None:
        self.found: list[Fact] = []

    def __call__(
        self,
        why: str,
        *,
        tools: tuple[str, ...] | None = None,
        resumed: Callable[[Path], Path] | None = None,
        login: AuthMethod = AuthMethod.API_KEY,
    ) -> Callable[[Check], Check]:
        def note(check: Check) -> Check:
            self.found.append(Fact(getattr(check, "__name__", ""), why, check, tools, resumed, login))
            return check

        return note


def same(seen: Any, wanted: Any) -> None:
    """Raises `DoesNotHold`."""
    if seen != wanted:
        raise DoesNotHold(f"{_short(seen)} instead of {_short(wanted)}")


def holds(true: bool, seen: Any) -> None:
    """Raises `DoesNotHold` with what was seen."""
    if not true:
        raise DoesNotHold(_short(seen))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}…"
