"""Wire events to server-sent ones; events of a job to one body. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import orjson

from claude_gateway.dialects.openai_responses.answer import Answer, WireEvent
from claude_gateway.dialects.openai_responses.response_object import failure
from claude_gateway.errors import ApiError, cut_short
from workers.events import Event, Restarted

Sent = tuple[str, str]
_ALWAYS_WRITABLE = ("id", "object", "created_at", "status", "error", "incomplete_details", "model", "usage")


def sent(events: Iterable[WireEvent]) -> list[Sent]:
    """The name and the data of each."""
    return [(event["type"], orjson.dumps(event).decode()) for event in events]


def encode_last_events(events: Iterable[WireEvent]) -> list[Sent]:
    """The same for the last events of a stream, which must arrive in any case. An event that cannot be written as JSON
    is reduced to the identity, status and error of its response; one without a response is left out."""
    found: list[Sent] = []
    for event in events:
        try:
            found += sent([event])
        except TypeError:
            if isinstance(response := event.get("response"), Mapping):
                bare = {name: response.get(name) for name in _ALWAYS_WRITABLE}
                found += sent([{**event, "response": {**bare, "output": []}}])
    return found


class StreamEncoder:
    """The wire events of one answer as the server-sent events to send."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def feed(self, events: Iterable[WireEvent]) -> list[Sent]:
        return sent(events)

    def fail(self, error: ApiError) -> list[Sent]:
        return encode_last_events(self._answer.fail(error))


class LogEncoder:
    """Server-sent events that were sent before, those behind number `after`."""

    def __init__(self, after: int) -> None:
        self._last = after

    def feed(self, events: Sequence[Sent]) -> Sequence[Sent]:
        self._last += len(events)
        return events

    def fail(self, error: ApiError) -> list[Sent]:
        """The response itself may well go on; it is only not followed any more."""
        return sent([{"type": "error", "sequence_number": self._last + 1, **failure(error), "param": error.param}])


class BodyFold:
    """Feed it the events of a job; `answer` is then whole. `begin` makes an empty one."""

    def __init__(self, begin: Callable[[], Answer]) -> None:
        self._begin = begin
        self.answer = begin()

    def feed(self, event: Event) -> None:
        if isinstance(event, Restarted):
            self.answer = self._begin()
        else:
            self.answer.feed(event)

    def body(self) -> dict[str, Any]:
        """Raises `ApiError` when the events ended without `Finished`."""
        if not self.answer.is_whole:
            raise cut_short()
        return self.answer.response
