"""What a process is set to, and what must be sent to set it otherwise. Pure."""

from dataclasses import dataclass

from workers.frames import Frame
from workers.job import PLAIN, Tuning
from workers.protocol import Protocol
from workers.tuning import environment, thinking_budget

# No HTTP client can send this header, so a request that carries it fails inside the CLI.
_UNSENDABLE_HEADER = "x-guard: \N{SNOWMAN}"


@dataclass(frozen=True, slots=True)
class Setup:
    """Compared with what a job wants; only differences are sent. `guarded`: no further request can leave."""

    model: str
    system: str = ""
    tuning: Tuning = PLAIN
    guarded: bool = False

    def variables(self) -> dict[str, str]:
        """The live variables of the CLI, all of them: one that is left out keeps its old value."""
        guard = _UNSENDABLE_HEADER if self.guarded else ""
        return {**environment(self.tuning), "ANTHROPIC_CUSTOM_HEADERS": guard}

    def frames_to(self, wanted: "Setup", protocol: Protocol) -> list[Frame]:
        """What to send for the tuning and the guard of `wanted`; model and system prompt go by `set_model`."""
        frames = []
        budget = thinking_budget(wanted.tuning)
        if budget != thinking_budget(self.tuning):
            frames.append(protocol.set_thinking_budget(budget))
        if wanted.variables() != self.variables():
            frames.append(protocol.set_environment(wanted.variables()))
        return frames

    def sign_of_life(self, protocol: Protocol) -> Frame:
        """What changes nothing, and is answered at once by a process that is well."""
        return protocol.set_thinking_budget(thinking_budget(self.tuning))
