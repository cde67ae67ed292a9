"""What a process is set to, and what must be sent to set it otherwise. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from workers.frames import Frame
from workers.job import PLAIN, Tool, Tuning
from workers.protocol import Protocol
from workers.tuning import environment, thinking_budget

# How often the CLI asks the model again in a turn whose structured output is missing. It counts at each message that it
# adds to the turn, a tool's result or words of its own, and ends the turn there once there were that many (CLI 2.1.332;
# `Protocol.initialize` says that structured output is wanted).
_FURTHER_REQUESTS = "MAX_STRUCTURED_OUTPUT_RETRIES"
_NONE, _ANY_NUMBER = "0", "1000000"


@dataclass(frozen=True, slots=True)
class Setup:
    """Compared with what a job wants; only differences are sent. `body` joins the body of each upstream request as it
    is. With `one_request` the CLI ends a turn where it would send a second request."""

    model: str
    system: str = ""
    tuning: Tuning = PLAIN
    body: Mapping[str, Any] = field(default_factory=dict)
    one_request: bool = False

    def variables(self) -> dict[str, str]:
        """The live variables of the CLI, all of them: one that is left out keeps its old value."""
        return {**environment(self.tuning, self.body), **self._further_requests()}

    def frames_to(self, wanted: "Setup", protocol: Protocol) -> list[Frame]:
        """What to send for the tuning, the body and `one_request`; model and system prompt go by themselves."""
        frames = []
        budget = thinking_budget(wanted.tuning)
        if budget != thinking_budget(self.tuning):
            frames.append(protocol.set_thinking_budget(budget))
        if (wanted.tuning, wanted.body) != (self.tuning, self.body):
            frames.append(protocol.set_environment(wanted.variables()))
        elif wanted.one_request is not self.one_request:
            frames.append(protocol.set_environment(wanted._further_requests()))
        return frames

    def sign_of_life(self, protocol: Protocol) -> Frame:
        """What changes nothing, and is answered at once by a process that is well."""
        return protocol.set_thinking_budget(thinking_budget(self.tuning))

    def _further_requests(self) -> dict[str, str]:
        return {_FURTHER_REQUESTS: _NONE if self.one_request else _ANY_NUMBER}


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
