"""Encode several replies to one chat request as one response. No I/O.

The client sets the number of replies with the parameter `n`. In the response, each reply is called a choice, and each
choice has an index. The response is a stream of chunks or one body. Each choice has its own job, and the calling code
passes each event of a job together with the index of the choice.
"""

from collections.abc import Iterable
from typing import Any

from claude_gateway.core.errors import ApiError
from claude_gateway.dialects.openai_chat.custom_tools import CustomTools
from claude_gateway.dialects.openai_chat.encode import (
    NO_CUSTOM_TOOLS,
    ChatBodyBuilder,
    ChatStreamEncoder,
    CompletionIdentity,
    StreamMessage,
    completion_object,
)
from workers.core.events import Event, Finished, TokenUsage

# The index of a choice, and an event of the job that generates this choice.
IndexedEvent = tuple[int, Event]


class ChatChoicesStreamEncoder:
    """Encodes the events of several choices as one stream. The stream ends after the last choice has finished.

    Args:
        identity: The fields that every chunk contains.
        count: The number of choices.
        include_usage: Whether the last chunk of the stream contains the usage.
        legacy: Whether calls use the older field `function_call`.
        custom_tools: The custom tools of the request.
    """

    def __init__(
        self,
        identity: CompletionIdentity,
        count: int,
        *,
        include_usage: bool,
        legacy: bool = False,
        custom_tools: CustomTools = NO_CUSTOM_TOOLS,
    ) -> None:
        self._choices = [
            ChatStreamEncoder(
                identity, include_usage=include_usage, legacy=legacy, custom_tools=custom_tools, index=index
            )
            for index in range(count)
        ]
        self._usages: list[TokenUsage] = []

    def feed(self, indexed_event: IndexedEvent) -> list[StreamMessage]:
        """Return the chunks for one event of one choice.

        Raises:
            ApiError: If the event is `StreamReset`. The reply starts again, but the client has already received chunks.
        """
        index, event = indexed_event
        messages = self._choices[index].feed_choice(event)
        if isinstance(event, Finished):
            self._usages.append(event.usage)
            if len(self._usages) == len(self._choices):
                return [*messages, *self._choices[0].end(sum_usage(self._usages))]
        return messages

    def fail(self, error: ApiError) -> list[StreamMessage]:
        """Return the last chunk of a failed stream, which contains the error."""
        return self._choices[0].fail(error)


class ChatChoicesBodyBuilder:
    """Builds the body of a response that is not streamed, from the events of several choices.

    Args:
        identity: The fields that identify the completion.
        count: The number of choices.
        legacy: Whether calls use the older field `function_call`.
        custom_tools: The custom tools of the request.
    """

    def __init__(
        self,
        identity: CompletionIdentity,
        count: int,
        *,
        legacy: bool = False,
        custom_tools: CustomTools = NO_CUSTOM_TOOLS,
    ) -> None:
        self._identity = identity
        self._choices = [ChatBodyBuilder(identity, legacy=legacy, custom_tools=custom_tools) for _ in range(count)]

    def feed(self, indexed_event: IndexedEvent) -> None:
        """Add the next event of one choice to the body."""
        index, event = indexed_event
        self._choices[index].feed(event)

    def body(self) -> dict[str, Any]:
        """Return the completion object with all choices.

        Raises:
            ApiError: If the events of a choice ended without `Finished`.
        """
        choices = [builder.choice_object(index) for index, builder in enumerate(self._choices)]
        return completion_object(self._identity, choices, sum_usage(builder.usage for builder in self._choices))


def sum_usage(usages: Iterable[TokenUsage]) -> TokenUsage:
    """Return the token usage of all choices together. As in OpenAI's API, the result counts the prompt only once.

    Each choice has its own job, and the jobs can report different numbers of prompt tokens. The result contains the
    largest of these numbers, so that the result does not depend on the order in which the jobs finish.
    """
    all_usages = list(usages)
    prompt = max(
        all_usages,
        key=lambda usage: (
            usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens,
            usage.cache_read_tokens,
        ),
    )
    output_tokens = sum(usage.output_tokens for usage in all_usages)
    thinking_tokens = sum(usage.thinking_tokens for usage in all_usages)
    return TokenUsage(
        prompt.input_tokens, output_tokens, prompt.cache_read_tokens, prompt.cache_write_tokens, thinking_tokens
    )
