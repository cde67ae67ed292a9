"""Several answers to one chat request (`n`): events, each with the number of its choice, to chunks or a body. Pure."""

from collections.abc import Iterable
from typing import Any

from claude_gateway.dialects.openai_chat.custom import Custom
from claude_gateway.dialects.openai_chat.encode import NONE, BodyFold, ChunkEncoder, Identity, Sent, completion
from claude_gateway.errors import ApiError
from workers.events import Event, Finished, Usage

Numbered = tuple[int, Event]


class ChoicesEncoder:
    """As `ChunkEncoder`; the stream ends behind the last choice."""

    def __init__(
        self, identity: Identity, count: int, *, include_usage: bool, legacy: bool = False, custom: Custom = NONE
    ) -> None:
        self._choices = [
            ChunkEncoder(identity, include_usage=include_usage, legacy=legacy, custom=custom, index=index)
            for index in range(count)
        ]
        self._used: list[Usage] = []

    def feed(self, numbered: Numbered) -> list[Sent]:
        index, one = numbered
        sent = self._choices[index].feed_choice(one)
        if isinstance(one, Finished):
            self._used.append(one.usage)
            if len(self._used) == len(self._choices):
                return [*sent, *self._choices[0].end(usage_of_all(self._used))]
        return sent

    def fail(self, error: ApiError) -> list[Sent]:
        return self._choices[0].fail(error)


class ChoicesFold:
    """As `BodyFold`."""

    def __init__(self, identity: Identity, count: int, *, legacy: bool = False, custom: Custom = NONE) -> None:
        self._identity = identity
        self._choices = [BodyFold(identity, legacy=legacy, custom=custom) for _ in range(count)]

    def feed(self, numbered: Numbered) -> None:
        index, one = numbered
        self._choices[index].feed(one)

    def body(self) -> dict[str, Any]:
        choices = [fold.choice(index) for index, fold in enumerate(self._choices)]
        return completion(self._identity, choices, usage_of_all(fold.usage for fold in self._choices))


def usage_of_all(used: Iterable[Usage]) -> Usage:
    """As OpenAI counts: every answer, but the prompt once, though each choice had it read. The largest one, so that
    the order in which they end does not matter."""
    each = list(used)
    prompt = max(each, key=lambda one: (one.input + one.cache_read + one.cache_write, one.cache_read))
    output, thinking = sum(one.output for one in each), sum(one.thinking for one in each)
    return Usage(prompt.input, output, prompt.cache_read, prompt.cache_write, thinking)
