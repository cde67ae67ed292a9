"""The images and PDFs of a job that must be fetched before it can run, and the job with them in it. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from workers.job import Block, ChatJob, Document, Image, ToolResult, Turn

Part = TypeVar("Part", bound=Block)


@dataclass(frozen=True, slots=True)
class Remote:
    """`place` is where the caller named the URL, `more` the other fields of a document."""

    url: str
    place: str
    more: tuple[tuple[str, str], ...]


Fetched = Mapping[Remote, Image | Document]


def remotes(job: ChatJob) -> list[Remote]:
    """What is to be fetched, in the order of the conversation."""
    parts = (part for turn in job.turns for block in turn.blocks for part in _parts(block))
    return [remote for part in parts if (remote := _remote(part)) is not None]


def with_fetched(turns: Iterable[Turn], fetched: Fetched) -> tuple[Turn, ...]:
    """The turns with what was fetched in the place of each URL."""
    return tuple(_turn(turn, fetched) for turn in turns)


def as_named(block: Block) -> Block:
    """What has a URL, fetched or yet to be, as nothing but that: two are compared by it."""
    if isinstance(block, ToolResult):
        return replace(block, content=tuple(_named(part) for part in block.content))
    return _named(block)


def _turn(turn: Turn, fetched: Fetched) -> Turn:
    def whole(block: Block) -> Block:
        if isinstance(block, ToolResult):
            return replace(block, content=tuple(_there(part, fetched) for part in block.content))
        return _there(block, fetched)

    return replace(turn, blocks=tuple(map(whole, turn.blocks)))


def _there(part: Part, fetched: Fetched) -> Part | Image | Document:
    remote = _remote(part)
    return part if remote is None else replace(fetched[remote], url=remote.url)


def _named(part: Part) -> Part | Image:
    if isinstance(part, Image | Document) and part.url:
        return Image({"type": "url", "url": part.url})
    remote = _remote(part)
    return part if remote is None else Image({"type": "url", "url": remote.url})


def _parts(block: Block) -> Iterator[Block]:
    if isinstance(block, ToolResult):
        yield from block.content
    else:
        yield block


def _remote(part: Block) -> Remote | None:
    match part:
        case Image({"type": "url", "url": url, "place": place, "more": more}):
            return Remote(url, place, tuple(more.items()))
    return None
