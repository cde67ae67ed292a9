"""What a process is set to, and what must be sent to set it otherwise. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from workers.frames import Frame
from workers.job import PLAIN, Tool, Tuning
from workers.protocol import Protocol
from workers.tuning import environment, thinking_budget

# No HTTP client can send this header, so a request whose headers are made from it fails inside the CLI.
_GUARD_VARIABLE = "ANTHROPIC_CUSTOM_HEADERS"
_GUARD_HEADER = "x-guard"
_UNSENDABLE_HEADER = f"{_GUARD_HEADER}: \N{SNOWMAN}"
# The CLI's error about a request that the guard stopped names the variable, or only the header (both CLI 2.1.332).
WORDS_OF_THE_GUARD = (_GUARD_VARIABLE, _GUARD_HEADER)


@dataclass(frozen=True, slots=True)
class Setup:
    """Compared with what a job wants; only differences are sent. `body` joins the body of each upstream request as it
    is, `guarded`: no further request can leave."""

    model: str
    system: str = ""
    tuning: Tuning = PLAIN
    body: Mapping[str, Any] = field(default_factory=dict)
    guarded: bool = False

    def variables(self) -> dict[str, str]:
        """The live variables of the CLI, all of them: one that is left out keeps its old value."""
        return {**environment(self.tuning, self.body), **self._guard()}

    def frames_to(self, wanted: "Setup", protocol: Protocol) -> list[Frame]:
        """What to send for the tuning, the body and the guard of `wanted`; model and system prompt go by themselves."""
        frames = []
        budget = thinking_budget(wanted.tuning)
        if budget != thinking_budget(self.tuning):
            frames.append(protocol.set_thinking_budget(budget))
        if (wanted.tuning, wanted.body) != (self.tuning, self.body):
            frames.append(protocol.set_environment(wanted.variables()))
        elif wanted.guarded is not self.guarded:
            frames.append(protocol.set_environment(wanted._guard()))
        return frames

    def sign_of_life(self, protocol: Protocol) -> Frame:
        """What changes nothing, and is answered at once by a process that is well."""
        return protocol.set_thinking_budget(thinking_budget(self.tuning))

    def _guard(self) -> dict[str, str]:
        return {_GUARD_VARIABLE: _UNSENDABLE_HEADER if self.guarded else ""}


def request_body(tools: tuple[Tool, ...], system: str | None) -> dict[str, Any]:
    """The parts of an upstream request that the CLI would rewrite: the definitions of the client's tools, and the
    system prompt, of which None leaves the CLI's own.

    The CLI puts a sentence of its own before a system prompt that it is given (CLI 2.1.332), so with a system prompt of
    "" the request says that there is none. `cache_control` stands where the CLI would put it.
    """
    body: dict[str, Any] = {"tools": [_definition(tool) for tool in tools]} if tools else {}
    if system is not None:
        block = {"type": "text", "text": system, "cache_control": {"type": "ephemeral"}}
        body["system"] = [block] if system.strip() else []
    return body


def _definition(tool: Tool) -> dict[str, Any]:
    described = {"description": tool.description} if tool.description else {}
    return {"name": tool.name, **described, "input_schema": tool.schema, **({"strict": True} if tool.strict else {})}
