"""How many images and documents of a conversation the model sees, and the conversation without the others. Pure.

The CLI takes the oldest out of a longer conversation and says nothing. So they are left out here, with a text in the
place of each. They go in steps: between two steps a conversation begins with the same bytes at each turn, and the
upstream's prompt cache holds. Seen on CLI 2.1.332 (claude_gateway/cli_facts/media.py).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from workers.job import Block, ChatJob, Document, Image, Text, ToolResult, Turn

_MAX_MEDIA = 100
_MAX_MEDIA_OF_LONG_CONTEXT = 600
_STEP = 20
# The models to which the CLI gives a million tokens of context. Of a name that it does not know it takes no more than a
# hundred, and so does this.
_LONG_CONTEXT = re.compile(
    r"claude-(opus-4-[78]|opus-5|opus-5-5|sonnet-5|sonnet-5-5|haiku-5-5|(fable|mythos)-5|(fable|mythos)-5-[12])"
    r"(?![0-9])(?!-[0-9]{1,2}(?![0-9]))|\[1m\]$"
)


def max_media(model: str) -> int:
    """How many images and documents together the CLI sends to a model."""
    return _MAX_MEDIA_OF_LONG_CONTEXT if _LONG_CONTEXT.search(model) else _MAX_MEDIA


def count_oldest_media(turns: Sequence[Turn], model: str) -> int:
    """How many images and documents the model is not sent."""
    excess = sum(1 for _ in media_of(turns)) - max_media(model)
    return -(-excess // _STEP) * _STEP if excess > 0 else 0


def without_oldest_media(job: ChatJob) -> ChatJob:
    """The job with no more images and documents than its model is sent."""
    remaining = count_oldest_media(job.turns, job.model)
    if not remaining:
        return job
    kept: list[Turn] = []
    for turn in job.turns:
        found = min(sum(1 for _ in _media(turn.blocks)), remaining)
        kept.append(replace(turn, blocks=_without(turn.blocks, found)) if found else turn)
        remaining -= found
    return replace(job, turns=tuple(kept))


def media_of(turns: Sequence[Turn]) -> Iterator[tuple[Image | Document, ToolResult | None]]:
    """Each image and document, with the tool result that it stands in."""
    for turn in turns:
        yield from _media(turn.blocks)


def _media(blocks: Sequence[Block]) -> Iterator[tuple[Image | Document, ToolResult | None]]:
    for block in blocks:
        if isinstance(block, Image | Document):
            yield block, None
        elif isinstance(block, ToolResult):
            yield from ((part, block) for part in block.content if isinstance(part, Image | Document))


def _without(blocks: Sequence[Block], count: int) -> tuple[Block, ...]:
    """The blocks with a text in the place of the first so many media."""
    places = iter(range(count))
    changed: list[Block] = []
    for block in blocks:
        if isinstance(block, ToolResult):
            parts = (
                _in_place_of(part) if isinstance(part, Image | Document) and next(places, None) is not None else part
                for part in block.content
            )
            changed.append(replace(block, content=tuple(parts)))
        elif isinstance(block, Image | Document) and next(places, None) is not None:
            changed.append(_in_place_of(block))
        else:
            changed.append(block)
    return tuple(changed)


def _in_place_of(part: Image | Document) -> Text:
    title = part.fields.get("title") if isinstance(part, Document) else None
    thing = "An image" if isinstance(part, Image) else f"The document {title!r}" if title else "A document"
    return Text(f"[{thing} stood here. It is not shown any more: this conversation holds too many of them.]")
