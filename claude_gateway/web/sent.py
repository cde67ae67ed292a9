"""What a client sent, read step by step: in the event loop where it is small, in another process where it is not."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from aiohttp import web

from claude_gateway.dialects.openai_responses.items import Past
from claude_gateway.prompt.conversation import Remembered
from claude_gateway.reading.json_body import Body, Model
from claude_gateway.reading.tasks import Choose, Keep, Wanted, parse_whole, read, read_head
from claude_gateway.web import body
from claude_gateway.web.parts import CALLER, PARTS
from workers.job import Turn

T = TypeVar("T")


class Sent(Generic[Model]):
    """A request of one of the dialects. `choose` finds the model of its body."""

    def __init__(
        self, request: web.Request, received: Body, choose: Choose[Model], keep: Keep[Model] | None = None
    ) -> None:
        self._offload = request.app[PARTS].offload
        self._key = request[CALLER].id
        self._body = received
        self._choose = choose
        self._keep = keep
        is_small = len(received.raw) <= self._offload.limits.inline_bytes
        self._is_small = is_small and self._offload.has_inline_time(self._key)
        # A small request is read once.
        self._asked: Model | None = None

    async def head(self) -> Model:
        """The request, of a large one only what is short in it. Raises `ApiError`."""
        if not self._is_small:
            return await self._offload.run(self._key, read_head, self._body, self._choose, self._keep)
        if self._asked is None:
            with self._offload.inline(self._key):
                self._asked = read(self._body, self._choose)
        return self._asked

    async def parsed(self, parse: Callable[..., T], *arguments: Any) -> T:
        """What the dialect's parser makes of the whole request and the arguments. Raises `ApiError`."""
        remembered = next((one for one in arguments if isinstance(one, Remembered)), None)
        if self._is_small and all(map(self._is_small_memory, arguments)):
            asked = await self.head()
            with self._offload.inline(self._key):
                return parse(asked, *arguments)
        given = tuple(_without_memory(one) for one in arguments)
        result, wanted = await self._parsed(parse, given, {})
        if wanted and remembered is not None and (found := _found(remembered, wanted)):
            # Seldom: the client sends back an answer that thought and called a tool, without its thoughts.
            result, _ = await self._parsed(parse, given, found)
        return result

    async def run(self, work: Callable[..., T], *arguments: Any, is_small: bool = True) -> T:
        """What `work` makes of the body, the choice of its model and the arguments; `is_small` says so of these."""
        if self._is_small and is_small:
            with self._offload.inline(self._key):
                return work(self._body, self._choose, *arguments)
        return await self._offload.run(self._key, work, self._body, self._choose, *arguments)

    def _is_small_memory(self, argument: Any) -> bool:
        """True for everything but a long past that the request goes on from."""
        return not isinstance(argument, Remembered | Past) or argument.size <= self._offload.limits.inline_bytes

    async def _parsed(
        self, parse: Callable[..., T], arguments: tuple[Any, ...], known: dict[Wanted, Turn]
    ) -> tuple[T, list[Wanted]]:
        return await self._offload.run(self._key, parse_whole, self._body, self._choose, parse, arguments, known)


async def receive(request: web.Request, choose: Choose[Model], keep: Keep[Model] | None = None) -> Sent[Model]:
    """The request, once all of its body is there. Raises `ApiError` as `body.receive` does."""
    return Sent(request, await body.receive(request), choose, keep)


def _without_memory(argument: Any) -> Any:
    """The same without what is only in this process."""
    if isinstance(argument, Remembered):
        return Remembered(argument.system, argument.turns)
    return argument


def _found(remembered: Remembered, wanted: list[Wanted]) -> dict[Wanted, Turn]:
    replies = {one: remembered.reply(*one) for one in wanted}
    return {one: reply for one, reply in replies.items() if reply is not None}
