"""Configuration of a process, and the frames that change the configuration. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from workers.cli.protocol import CliProtocol
from workers.core.frame import Frame
from workers.core.job import DEFAULT_PARAMS, GenerationParams, ToolDefinition
from workers.params.generation_params import get_thinking_budget, params_to_env

# The variable for the maximum number of followup requests, with which the CLI asks the model again in the same turn if
# there is no structured output yet. The CLI counts each message that it adds to the turn (a tool result or a text of
# its own), and ends the turn at the maximum (CLI 2.1.332). `CliProtocol.initialize` requests structured output.
_FOLLOWUP_REQUESTS_VARIABLE = "MAX_STRUCTURED_OUTPUT_RETRIES"
_NO_FOLLOWUPS, _UNLIMITED_FOLLOWUPS = "0", "1000000"


@dataclass(frozen=True, slots=True)
class ProcessConfig:
    """The configuration of a process.

    Before a job, the worker sends only the values that differ from those that the job needs.

    Attributes:
        model: The model.
        system: The system prompt that is set in the process. A system prompt in `extra_body` does not count.
        params: The generation parameters.
        extra_body: Fields that the CLI adds unchanged to the body of each upstream request.
        single_request: Whether the CLI ends a turn instead of sending a second upstream request.
    """

    model: str
    system: str = ""
    params: GenerationParams = DEFAULT_PARAMS
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    single_request: bool = False

    def to_env(self) -> dict[str, str]:
        """Return all variables that a running CLI reads, because a variable that is not sent keeps its old value."""
        return {**params_to_env(self.params, self.extra_body), **self._build_followup_env()}

    def build_update_frames(self, target_config: "ProcessConfig", protocol: CliProtocol) -> list[Frame]:
        """Return the frames that set `params`, `extra_body` and `single_request` as in the target configuration.

        The worker itself sends the changes of the model and of the system prompt.
        """
        frames = []
        budget = get_thinking_budget(target_config.params)
        if budget != get_thinking_budget(self.params):
            frames.append(protocol.set_thinking_budget(budget))
        if (target_config.params, target_config.extra_body) != (self.params, self.extra_body):
            frames.append(protocol.set_environment(target_config.to_env()))
        elif target_config.single_request is not self.single_request:
            frames.append(protocol.set_environment(target_config._build_followup_env()))
        return frames

    def create_ping_frame(self, protocol: CliProtocol) -> Frame:
        """Return a request that changes nothing. A healthy process responds to it at once."""
        return protocol.set_thinking_budget(get_thinking_budget(self.params))

    def _build_followup_env(self) -> dict[str, str]:
        return {_FOLLOWUP_REQUESTS_VARIABLE: _NO_FOLLOWUPS if self.single_request else _UNLIMITED_FOLLOWUPS}


def build_request_body(tools: tuple[ToolDefinition, ...], system: str | None) -> dict[str, Any]:
    """Return the fields of an upstream request body that the CLI would otherwise rewrite.

    The CLI puts a sentence of its own before a system prompt that it gets (CLI 2.1.332). So the body contains the
    system prompt, or an empty list if the system prompt is "". `cache_control` is at the position where the CLI would
    put it.

    Args:
        tools: The definitions of the client tools.
        system: The system prompt, or None to keep the CLI's own system prompt.
    """
    body: dict[str, Any] = {"tools": [_encode_tool(tool) for tool in tools]} if tools else {}
    if system is not None:
        block = {"type": "text", "text": system, "cache_control": {"type": "ephemeral"}}
        body["system"] = [block] if system.strip() else []
    return body


def _encode_tool(tool: ToolDefinition) -> dict[str, Any]:
    description = {"description": tool.description} if tool.description else {}
    return {"name": tool.name, **description, "input_schema": tool.schema, **({"strict": True} if tool.strict else {})}
