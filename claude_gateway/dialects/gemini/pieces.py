"""Events to the parts of a Gemini answer. Pure."""

from collections.abc import Iterator
from typing import Any

import orjson

from claude_gateway.prompt.thoughts import Sealer, seal
from workers.call_arguments import as_written
from workers.events import BlockEnded, BlockStarted, Event, InputDelta, Signed, TextDelta, ThinkingDelta
from workers.job import RedactedThought, Thought, ToolUse


class Parts:
    """Feed it the events; each gives the parts to pass on. Text and thoughts come in pieces, a call comes whole.

    What was thought is sealed into the `thoughtSignature` of the part behind it, whether or not its text is shown:
    programs send that back, and often nothing else of a thought.
    """

    def __init__(self, sealer: Sealer, *, include_thoughts: bool) -> None:
        self._sealer = sealer
        self._include_thoughts = include_thoughts
        self._thoughts: list[Thought | RedactedThought] = []
        self._thinking: list[str] = []
        self._signature = ""
        self._call: ToolUse | None = None
        self._input: list[str] = []
        self.broken_call = False

    def feed(self, event: Event) -> Iterator[dict[str, Any]]:
        match event:
            case TextDelta(text) if text:
                yield {"text": text, **self.sealed()}
            case ThinkingDelta(text) if text:
                self._thinking.append(text)
                if self._include_thoughts:
                    yield {"text": text, "thought": True}
            case Signed(signature):
                self._signature += signature
            case InputDelta(text):
                self._input.append(text)
            case BlockStarted(ToolUse() as call):
                self._call = call
            case BlockStarted(RedactedThought() as thought):
                self._thoughts.append(thought)
            case BlockEnded():
                yield from self._end_block()

    def sealed(self) -> dict[str, str]:
        """What was thought since the last part, for the next one to carry."""
        if not self._thoughts:
            return {}
        signature = seal(self._thoughts, self._sealer)
        self._thoughts.clear()
        return {"thoughtSignature": signature}

    def _end_block(self) -> Iterator[dict[str, Any]]:
        if self._call is not None:
            arguments = _object("".join(self._input))
            if arguments is None:
                self.broken_call = True  # cut off by the limit of tokens: no half of a call is passed on
            else:
                call = {"id": self._call.id, "name": self._call.name, "args": arguments}
                yield {"functionCall": call, **self.sealed()}
        elif self._signature:
            self._thoughts.append(Thought("".join(self._thinking), self._signature))
        self._call, self._signature = None, ""
        self._thinking.clear()
        self._input.clear()


def _object(text: str) -> Any:
    """None where it is no JSON object."""
    try:
        value = as_written(text)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict | orjson.Fragment) else None
