"""Prompts for JSON replies, and a buffer that holds a reply until the gateway has validated it. No I/O."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import assert_never

import orjson

from workers.core.events import (
    NO_TOKEN_USAGE,
    BlockEnded,
    BlockStarted,
    Event,
    Finished,
    SignatureDelta,
    Started,
    StreamReset,
    TextDelta,
    ThinkingDelta,
    ToolCallFinished,
    ToolCallStarted,
    ToolInputDelta,
)
from workers.core.job import ChatJob, OutputSchema, Text, Turn

_FENCE = "```"
_FENCE_OPENING = re.compile(r"```[\w-]*[ \t]*\n")
_EMPTY_REPLY_TEXT = "(no text)"


def add_schema_instruction(job: ChatJob) -> ChatJob:
    """Return the job with its JSON Schema in the system prompt, for a model that cannot enforce a schema itself."""
    output = job.params.output_schema
    assert output is not None
    system = f"{job.system}\n\n{_schema_instruction(output)}" if job.system else _schema_instruction(output)
    return replace(job, system=system, params=replace(job.params, output_schema=None))


def add_repair_turn(job: ChatJob, reply_text: str, problems: Sequence[str]) -> ChatJob:
    """Return the job with two further turns, so that the model corrects its reply.

    The first turn is the invalid reply of the model. The second is a user turn that lists the problems of the reply.
    """
    reply_turn = Turn("assistant", (Text(reply_text if reply_text.strip() else _EMPTY_REPLY_TEXT),))
    lines = "\n".join(f"- {problem}" for problem in problems)
    instruction = f"This reply is not valid:\n{lines}\nSend the complete reply again, as JSON and nothing else."
    return replace(job, turns=(*job.turns, reply_turn, Turn("user", (Text(instruction),))))


class JsonReplyBuffer:
    """Holds back the events of a reply until the calling code has validated the reply.

    `feed` returns the events that the calling code may pass on to the client at once. The buffer always holds back
    `Finished`. After that event, the calling code validates `text`. If the text is valid, it passes on
    `remaining_events`. Otherwise it calls `restart`, and feeds the events of another reply.

    A live buffer holds back no other events. A buffer that is not live lets thinking and tool calls pass until the
    first text. It holds back all events from the first text on, and keeps their order.

    Args:
        live: Whether text passes before the validation.
        streamed: Whether the client receives each event that passes at once. If so, the gateway cannot withdraw the
            event.
    """

    def __init__(self, *, live: bool, streamed: bool) -> None:
        self.live = live
        self._streamed = streamed
        self._has_started = False
        self._has_output = False
        self._usage = NO_TOKEN_USAGE
        self._reset()

    def _reset(self) -> None:
        self._text: list[str] = []
        self._held_events: list[Event] = []
        self._finished: Finished | None = None

    @property
    def has_started(self) -> bool:
        """Whether the upstream has accepted the request."""
        return self._has_started

    @property
    def needs_validation(self) -> bool:
        """Whether the model ended the reply itself.

        False if the reply is truncated, is a refusal, or ends with a tool call.
        """
        return self._finished is not None and self._finished.stop_reason == "end_turn"

    @property
    def raw_text(self) -> str:
        """The text of the reply as the model wrote it."""
        return "".join(self._text)

    @property
    def text(self) -> str:
        """The text of the reply as the client receives it.

        If the buffer is not live, the text has no code fence around it.
        """
        return self.raw_text if self.live else _strip_code_fence(self.raw_text)

    def feed(self, event: Event) -> list[Event]:
        """Add an event of the reply, and return the events that may pass now."""
        match event:
            case Started():
                is_first = not self._has_started
                self._has_started = True
                return [event] if is_first else []
            case StreamReset():
                had_output = self._has_output
                self._has_output = False
                self._reset()
                return [event] if had_output else []
            case Finished():
                self._finished = event
                self._usage = self._usage + event.usage
                return []
            case TextDelta(text):
                self._text.append(text)
            case BlockStarted() | ThinkingDelta() | ToolInputDelta() | SignatureDelta() | BlockEnded():
                pass
            case ToolCallStarted() | ToolCallFinished():
                pass
            case _:
                assert_never(event)
        if self._held_events or (not self.live and _is_text(event)):
            self._held_events.append(event)
            return []
        self._has_output = True
        return [event]

    def restart(self) -> list[Event]:
        """Drop the reply, but keep its token usage, and return the events that may pass now.

        If thinking or calls have passed, the result is a `StreamReset`, which withdraws them. If the client has already
        received them, the result is empty.
        """
        must_reset = self._has_output and not self._streamed
        self._reset()
        return [StreamReset()] if must_reset else []

    def remaining_events(self) -> list[Event]:
        """Return the events that the buffer still holds.

        `Finished` contains the token usage of all replies together.
        """
        held = self._merge_held_text() if self._held_events and self.needs_validation else self._held_events
        return [*held, replace(self._finished, usage=self._usage)] if self._finished else held

    def _merge_held_text(self) -> list[Event]:
        """Merge all held text into one block, and return it before the other held events.

        The others keep their order.
        """
        others: list[Event] = []
        in_text = False
        for event in self._held_events:
            in_text = _is_text(event) or (in_text and not isinstance(event, BlockStarted))
            if not in_text:
                others.append(event)
            in_text = in_text and not isinstance(event, BlockEnded)
        return [BlockStarted(Text("")), TextDelta(self.text), BlockEnded(), *others]


def _is_text(event: Event) -> bool:
    return isinstance(event, TextDelta) or (isinstance(event, BlockStarted) and isinstance(event.block, Text))


def _schema_instruction(output: OutputSchema) -> str:
    if output.schema is None:
        return "Reply with one JSON object and nothing else: no text around it and no code fence."
    schema = orjson.dumps(output.schema).decode()
    return (
        "Reply with JSON and nothing else: no text around it and no code fence. "
        f"The JSON must be valid under this JSON Schema:\n{schema}"
    )


def _strip_code_fence(text: str) -> str:
    """Remove the code fence from a text that consists of one fenced block.

    The function does not use a regular expression to find the end of the fence. Such an expression takes quadratic
    time, and a client can make the model write a page of whitespace.
    """
    stripped = text.strip()
    opening = _FENCE_OPENING.match(stripped)
    if opening is None or not stripped.endswith(_FENCE) or len(stripped) < opening.end() + len(_FENCE):
        return text
    return stripped[opening.end() : -len(_FENCE)].rstrip(" \t").removesuffix("\n")
