"""Find the images and PDFs that a client sent as URLs, and replace each URL with the fetched file. No I/O."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from workers.core.job import Block, ChatJob, Document, Image, ToolResult, Turn

BlockT = TypeVar("BlockT", bound=Block)


@dataclass(frozen=True, slots=True)
class RemoteMedia:
    """An image or PDF that a client sent as a URL. The gateway must fetch the file before the job can run.

    Attributes:
        url: The `https:` URL.
        field_path: Field path of the URL in the request.
        extra_fields: Names and values of the other fields of a document, such as its title.
    """

    url: str
    field_path: str
    extra_fields: tuple[tuple[str, str], ...]


FetchedMedia = Mapping[RemoteMedia, Image | Document]


def find_remote_media(job: ChatJob) -> list[RemoteMedia]:
    """Return the images and PDFs that the gateway must fetch for a job, in the order of the conversation."""
    parts = (part for turn in job.turns for block in turn.blocks for part in _iterate_parts(block))
    return [remote for part in parts if (remote := _as_remote_media(part)) is not None]


def replace_remote_media(turns: Iterable[Turn], fetched: FetchedMedia) -> tuple[Turn, ...]:
    """Return a copy of the turns in which the fetched file replaces each URL of an image or a PDF."""
    return tuple(_replace_in_turn(turn, fetched) for turn in turns)


def reduce_media_to_url(block: Block) -> Block:
    """Return a copy of the block that contains the URL in place of each file that the client sent as a URL.

    The gateway can compare two such copies even if it has fetched the file for only one of the two blocks.
    """
    if isinstance(block, ToolResult):
        return replace(block, content=tuple(_reduce_part_to_url(part) for part in block.content))
    return _reduce_part_to_url(block)


def _replace_in_turn(turn: Turn, fetched: FetchedMedia) -> Turn:
    def replace_in_block(block: Block) -> Block:
        if isinstance(block, ToolResult):
            return replace(block, content=tuple(_replace_part(part, fetched) for part in block.content))
        return _replace_part(block, fetched)

    return replace(turn, blocks=tuple(map(replace_in_block, turn.blocks)))


def _replace_part(part: BlockT, fetched: FetchedMedia) -> BlockT | Image | Document:
    remote = _as_remote_media(part)
    return part if remote is None else replace(fetched[remote], url=remote.url)


def _reduce_part_to_url(part: BlockT) -> BlockT | Image:
    if isinstance(part, Image | Document) and part.url:
        return Image({"type": "url", "url": part.url})
    remote = _as_remote_media(part)
    return part if remote is None else Image({"type": "url", "url": remote.url})


def _iterate_parts(block: Block) -> Iterator[Block]:
    if isinstance(block, ToolResult):
        yield from block.content
    else:
        yield block


def _as_remote_media(part: Block) -> RemoteMedia | None:
    match part:
        case Image({"type": "url", "url": url, "field_path": field_path, "extra_fields": extra_fields}):
            return RemoteMedia(url, field_path, tuple(extra_fields.items()))
    return None
