"""Limit on the number of images and documents in a conversation that the model sees. No I/O.

If a conversation exceeds the limit, the CLI silently removes the oldest images and documents. So the gateway replaces
them with a placeholder text before the CLI gets them, several at a time. Until the next replacement, each request
begins with the same bytes as the previous one, so the upstream's prompt cache stays valid. Checked with CLI 2.1.332
(claude_gateway/devtools/cli_contract/media.py).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from workers.core.job import Block, ChatJob, Document, Image, Text, ToolResult, Turn

_MAX_MEDIA_COUNT = 100
_MAX_LONG_CONTEXT_MEDIA_COUNT = 600
_OMISSION_STEP_COUNT = 20
# The models for which the CLI has a context of a million tokens. For a name that the CLI does not know, it sends at
# most a hundred images and documents, and so does the gateway.
_LONG_CONTEXT_MODELS = re.compile(
    r"claude-(opus-4-[78]|opus-5|opus-5-5|sonnet-5|sonnet-5-5|haiku-5-5|(fable|mythos)-5|(fable|mythos)-5-[12])"
    r"(?![0-9])(?!-[0-9]{1,2}(?![0-9]))|\[1m\]$"
)


def get_max_media_count(model: str) -> int:
    """Return the maximum number of images and documents, counted together, that the CLI sends to a model."""
    return _MAX_LONG_CONTEXT_MEDIA_COUNT if _LONG_CONTEXT_MODELS.search(model) else _MAX_MEDIA_COUNT


def count_omitted_media(turns: Sequence[Turn], model: str) -> int:
    """Return how many images and documents must be omitted for a model.

    The number is rounded up to a multiple of 20.
    """
    excess = sum(1 for _ in iter_media(turns)) - get_max_media_count(model)
    return -(-excess // _OMISSION_STEP_COUNT) * _OMISSION_STEP_COUNT if excess > 0 else 0


def drop_oldest_media(job: ChatJob) -> ChatJob:
    """Replace the oldest images and documents of a job by texts, so that the job is within the limit of its model."""
    remaining = count_omitted_media(job.turns, job.model)
    if not remaining:
        return job
    turns: list[Turn] = []
    for turn in job.turns:
        count = min(sum(1 for _ in _iter_block_media(turn.blocks)), remaining)
        turns.append(replace(turn, blocks=_replace_oldest_media(turn.blocks, count)) if count else turn)
        remaining -= count
    return replace(job, turns=tuple(turns))


def iter_media(turns: Sequence[Turn]) -> Iterator[tuple[Image | Document, ToolResult | None]]:
    """Yield each image and document, with the tool result that contains it, or with None outside of tool results."""
    for turn in turns:
        yield from _iter_block_media(turn.blocks)


def _iter_block_media(blocks: Sequence[Block]) -> Iterator[tuple[Image | Document, ToolResult | None]]:
    for block in blocks:
        if isinstance(block, Image | Document):
            yield block, None
        elif isinstance(block, ToolResult):
            yield from ((part, block) for part in block.content if isinstance(part, Image | Document))


def _replace_oldest_media(blocks: Sequence[Block], count: int) -> tuple[Block, ...]:
    """Return the blocks with a placeholder text in place of each of the first `count` images and documents."""
    replacements = iter(range(count))
    new_blocks: list[Block] = []
    for block in blocks:
        if isinstance(block, ToolResult):
            parts = (
                _build_placeholder(part)
                if isinstance(part, Image | Document) and next(replacements, None) is not None
                else part
                for part in block.content
            )
            new_blocks.append(replace(block, content=tuple(parts)))
        elif isinstance(block, Image | Document) and next(replacements, None) is not None:
            new_blocks.append(_build_placeholder(block))
        else:
            new_blocks.append(block)
    return tuple(new_blocks)


def _build_placeholder(media: Image | Document) -> Text:
    title = media.fields.get("title") if isinstance(media, Document) else None
    subject = "An image" if isinstance(media, Image) else f"The document {title!r}" if title else "A document"
    return Text(f"[{subject} was here. It is no longer included, because this conversation holds too many of them.]")
