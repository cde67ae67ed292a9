"""Encode response events as server-sent events, and build the body of a response that is not streamed. No I/O.

Response events are the events that the Responses API defines for streams.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from claude_gateway.core.errors import ApiError, stream_interrupted
from claude_gateway.core.json_text import encode_json
from claude_gateway.dialects.openai_responses.errors import response_error_object
from claude_gateway.dialects.openai_responses.response_builder import ResponseBuilder, ResponseEvent
from workers.core.events import Event, StreamReset

# The event name and the data of a server-sent event.
StreamMessage = tuple[str, str]
_ALWAYS_SERIALIZABLE_FIELDS = ("id", "object", "created_at", "status", "error", "incomplete_details", "model", "usage")


def encode_events(events: Iterable[ResponseEvent]) -> list[StreamMessage]:
    """Return each response event as a server-sent event."""
    return [(event["type"], encode_json(event)) for event in events]


def encode_last_events(events: Iterable[ResponseEvent]) -> list[StreamMessage]:
    """Return the last response events of a stream as server-sent events, even if an event cannot be encoded as JSON.

    If the function cannot encode an event as JSON, it reduces the response in the event to the id, the status, the
    error and a few other fields. If such an event contains no response, the function omits the event.
    """
    messages: list[StreamMessage] = []
    for event in events:
        try:
            messages += encode_events([event])
        except TypeError:
            if isinstance(response := event.get("response"), Mapping):
                essential_fields = {name: response.get(name) for name in _ALWAYS_SERIALIZABLE_FIELDS}
                messages += encode_events([{**event, "response": {**essential_fields, "output": []}}])
    return messages


class ResponsesStreamEncoder:
    """Encodes the response events of one response as server-sent events."""

    def __init__(self, builder: ResponseBuilder) -> None:
        self._builder = builder

    def feed(self, event: ResponseEvent) -> list[StreamMessage]:
        """Return a response event as a server-sent event."""
        return encode_events([event])

    def fail(self, error: ApiError) -> list[StreamMessage]:
        """Return the last server-sent events of a failed stream, which report the error."""
        return encode_last_events(self._builder.fail(error))


class EventLogEncoder:
    """Returns stored server-sent events unchanged. If the stream fails, it returns an error event.

    Args:
        last_sequence_number: The sequence number of the event before the first event that the encoder returns.
    """

    def __init__(self, last_sequence_number: int) -> None:
        self._last_sequence_number = last_sequence_number

    def feed(self, event: StreamMessage) -> list[StreamMessage]:
        """Count a stored event, and return it unchanged."""
        self._last_sequence_number += 1
        return [event]

    def fail(self, error: ApiError) -> list[StreamMessage]:
        """Return an error event that ends this stream. The job of the response may continue in the background."""
        return encode_events(
            [
                {
                    "type": "error",
                    "sequence_number": self._last_sequence_number + 1,
                    **response_error_object(error),
                    "param": error.param,
                }
            ]
        )


class ResponsesBodyBuilder:
    """Builds the body of a response that is not streamed, from the events of a job.

    Args:
        create_builder: Function that creates an empty response builder. This class calls the function at the start and
            after each `StreamReset`.

    Attributes:
        builder: The current response builder.
    """

    def __init__(self, create_builder: Callable[[], ResponseBuilder]) -> None:
        self._create_builder = create_builder
        self.builder = create_builder()

    def feed(self, event: Event) -> None:
        """Add the next event of the job to the response."""
        if isinstance(event, StreamReset):
            self.builder = self._create_builder()
        else:
            self.builder.feed(event)

    def body(self) -> dict[str, Any]:
        """Return the finished response object.

        Raises:
            ApiError: If the events ended without `Finished`.
        """
        if not self.builder.is_complete:
            raise stream_interrupted()
        return self.builder.response
