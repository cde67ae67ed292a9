"""Answers that must be JSON: how they are asked for in words, held back, and asked for again. Pure."""

import re
from collections.abc import Sequence
from dataclasses import replace

import orjson

from workers.events import (
    NOTHING_USED,
    BlockEnded,
    BlockStarted,
    Event,
    Finished,
    Restarted,
    Started,
    TextDelta,
)
from workers.job import ChatJob, OutputSchema, Text, Turn

_FENCE = "```"
_OPENING = re.compile(r"```[\w-]*[ \t]*\n")
_NOTHING = "(no text)"


def in_words(job: ChatJob) -> ChatJob:
    """The job with its schema in the system prompt, for a model that is not held to it."""
    output = job.tuning.output
    assert output is not None
    system = f"{job.system}\n\n{_instruction(output)}" if job.system else _instruction(output)
    return replace(job, system=system, tuning=replace(job.tuning, output=None))


def asked_again(job: ChatJob, answer: str, faults: Sequence[str]) -> ChatJob:
    """The same conversation gone on: what the model answered, and what is wrong with it."""
    said = Turn("assistant", (Text(answer if answer.strip() else _NOTHING),))
    lines = "\n".join(f"- {fault}" for fault in faults)
    wish = f"That answer cannot be used:\n{lines}\nGive the whole answer again, as JSON and nothing else."
    return replace(job, turns=(*job.turns, said, Turn("user", (Text(wish),))))


class JsonAnswer:
    """Feed it the events of an answer; each gives those to pass on now. `Finished` never passes: when it came, the
    answer is checked, and then `rest` is what is still to be passed on, or `again` makes it ready for another one.

    Live, everything else passes at once. Otherwise nothing passes from the first word on: thoughts and calls
    before it do, and what comes behind it keeps its place. `streamed`: nothing that passed can be taken back.
    """

    def __init__(self, *, live: bool, streamed: bool) -> None:
        self.live = live
        self._streamed = streamed
        self._started = False
        self._shown = False
        self._used = NOTHING_USED
        self._forget()

    def _forget(self) -> None:
        self._text: list[str] = []
        self._held: list[Event] = []
        self._end: Finished | None = None

    @property
    def begun(self) -> bool:
        """True once the upstream has accepted the request."""
        return self._started

    @property
    def to_check(self) -> bool:
        """False for an answer that the model itself did not call done: it was cut, refused, or is a call."""
        return self._end is not None and self._end.stop_reason == "end_turn"

    @property
    def said(self) -> str:
        """The text as the model said it."""
        return "".join(self._text)

    @property
    def text(self) -> str:
        """The text as the caller gets it."""
        return self.said if self.live else _unfenced(self.said)

    def feed(self, event: Event) -> list[Event]:
        match event:
            case Started():
                passes = not self._started
                self._started = True
                return [event] if passes else []
            case Restarted():
                passes = self._shown
                self._shown = False
                self._forget()
                return [event] if passes else []
            case Finished():
                self._end = event
                self._used = self._used + event.usage
                return []
            case TextDelta(text):
                self._text.append(text)
        if self._held or (not self.live and _is_text(event)):
            self._held.append(event)
            return []
        self._shown = True
        return [event]

    def again(self) -> list[Event]:
        """The answer is not used, but paid for. Its thoughts go with it, where they still can."""
        taken_back = self._shown and not self._streamed
        self._forget()
        return [Restarted()] if taken_back else []

    def rest(self) -> list[Event]:
        held = self._as_one_text() if self._held and self.to_check else self._held
        return [*held, replace(self._end, usage=self._used)] if self._end else held

    def _as_one_text(self) -> list[Event]:
        """What is held begins with text; whatever else is in it keeps its order."""
        others: list[Event] = []
        in_text = False
        for event in self._held:
            in_text = _is_text(event) or (in_text and not isinstance(event, BlockStarted))
            if not in_text:
                others.append(event)
            in_text = in_text and not isinstance(event, BlockEnded)
        return [BlockStarted(Text("")), TextDelta(self.text), BlockEnded(), *others]


def _is_text(event: Event) -> bool:
    return isinstance(event, TextDelta) or (isinstance(event, BlockStarted) and isinstance(event.block, Text))


def _instruction(output: OutputSchema) -> str:
    if output.schema is None:
        return "Give your answer as one JSON object and nothing else: no words around it and no code fence."
    schema = orjson.dumps(output.schema).decode()
    return (
        "Give your answer as JSON and nothing else: no words around it and no code fence. "
        f"It must be valid under this JSON Schema:\n{schema}"
    )


def _unfenced(text: str) -> str:
    """By hand: an expression that finds the end of it takes quadratic time, and a caller can order a page of blanks."""
    whole = text.strip()
    opening = _OPENING.match(whole)
    if opening is None or not whole.endswith(_FENCE) or len(whole) < opening.end() + len(_FENCE):
        return text
    return whole[opening.end() : -len(_FENCE)].rstrip(" \t").removesuffix("\n")
