"""Instructions that ask the model for JSON, and a buffer for a reply that the gateway must validate. No I/O."""

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
    """Move the JSON Schema of a job into the system prompt, and return the changed job.

    The gateway uses this function if the model cannot enforce the schema through structured outputs.
    """
    output = job.params.output_schema
    assert output is not None
    system = f"{job.system}\n\n{_schema_instruction(output)}" if job.system else _schema_instruction(output)
    return replace(job, system=system, params=replace(job.params, output_schema=None))


def add_repair_turn(job: ChatJob, reply_text: str, problems: Sequence[str]) -> ChatJob:
    """Add two turns to a job to make the model correct an invalid reply, and return the changed job.

    The first turn is the invalid reply of the model. The second is a user turn that lists the problems of the reply.
    """
    reply_turn = Turn("assistant", (Text(reply_text if reply_text.strip() else _EMPTY_REPLY_TEXT),))
    lines = "\n".join(f"- {problem}" for problem in problems)
    instruction = f"This reply is not valid:\n{lines}\nSend the complete reply again, as JSON and nothing else."
    return replace(job, turns=(*job.turns, reply_turn, Turn("user", (Text(instruction),))))


class JsonReplyBuffer:
    """Keeps the events of a reply until the calling code has validated the reply.

    The calling code passes each event to `feed`, and sends the events that `feed` returns to the client. The buffer
    always keeps the event `Finished`. After this event, the calling code validates `text`. If the text is valid, the
    calling code sends `remaining_events` to the client. If not, it calls `restart`, and passes the events of another
    reply to `feed`.

    If the buffer is live, `feed` returns all events except `Finished`. If the buffer is not live, `feed` returns only
    the thinking and the tool calls before the first text, and the buffer keeps all later events in their order.

    Args:
        live: Whether `feed` returns text before the calling code has validated the reply.
        streamed: Whether the client receives each event as soon as `feed` returns it. If so, the gateway cannot
            withdraw the event.
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
        """Whether the calling code must validate the reply, because the model has completed the reply.

        False if the reply is not finished, is truncated, is a refusal, or ends with a tool call.
        """
        return self._finished is not None and self._finished.stop_reason == "end_turn"

    @property
    def raw_text(self) -> str:
        """The text of the reply as the model wrote it."""
        return "".join(self._text)

    @property
    def text(self) -> str:
        """The text of the reply as the client receives it.

        If the buffer is not live, the buffer removes a code fence around the text.
        """
        return self.raw_text if self.live else _strip_code_fence(self.raw_text)

    def feed(self, event: Event) -> list[Event]:
        """Process an event of the reply, and return the events that the calling code may send to the client now."""
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
        """Drop the reply, but keep its token usage, so that the buffer can process another reply.

        Returns:
            A `StreamReset` if `feed` has returned thinking or tool calls of the reply that the gateway can still
            withdraw. Otherwise, the list is empty.
        """
        must_reset = self._has_output and not self._streamed
        self._reset()
        return [StreamReset()] if must_reset else []

    def remaining_events(self) -> list[Event]:
        """Return the events that `feed` has not returned.

        The last event is `Finished`. It contains the token usage of all replies together.
        """
        held = self._merge_held_text() if self._held_events and self.needs_validation else self._held_events
        return [*held, replace(self._finished, usage=self._usage)] if self._finished else held

    def _merge_held_text(self) -> list[Event]:
        """Return the events in the buffer, with all texts merged into one text block before the other events.

        The other events keep their order.
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
