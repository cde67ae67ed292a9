"""How much there is in a job: what the gateway does with it afterwards costs time for each part. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from claude_gateway.errors import ApiError
from workers.job import Block, ChatJob, Document, SearchResult, ToolResult, ToolUse

# Texts, images, calls, results and their parts.
_MAX_BLOCKS = 20_000
# JSON values in the schemas of tools and the arguments of calls, those written as a string included.
_MAX_VALUES = 100_000


def check_weight(job: ChatJob) -> None:
    """Raises:
    ApiError: 413 for a job with more blocks or values than one may have.
    """
    blocks = [part for turn in job.turns for block in turn.blocks for part in _parts(block)]
    if len(blocks) > _MAX_BLOCKS:
        raise _too_many(f"{len(blocks)} blocks of content", f"{_MAX_BLOCKS}")
    left = _MAX_VALUES
    for value in _values(job, blocks):
        left = _count_down(value, left)


def _parts(block: Block) -> Iterator[Block]:
    yield block
    if isinstance(block, ToolResult):
        yield from block.content


def _values(job: ChatJob, blocks: Iterable[Block]) -> Iterator[Mapping[str, Any]]:
    for tool in job.tools:
        yield tool.schema
    for block in blocks:
        match block:
            case ToolUse(_, _, arguments):
                yield arguments
            case Document(fields) | SearchResult(fields):
                yield fields


def _count_down(value: Any, left: int) -> int:
    """Return how many values may still come after those in `value`."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        left -= 1
        if isinstance(one, Mapping):
            waiting += one.values()
        elif isinstance(one, list | tuple):
            waiting += one
        if left < len(waiting):
            what = "JSON values in the schemas of tools and the arguments of calls"
            raise _too_many(f"more {what} than one may", f"{_MAX_VALUES}")
    return left


def _too_many(what: str, most: str) -> ApiError:
    return ApiError(413, "request_too_large", f"The request holds {what} ({most}).", code="request_too_large")
