"""Limit the number of content blocks and JSON values in a job. No I/O.

After this check, the gateway needs time for each block and each value.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from claude_gateway.core.errors import ApiError
from workers.core.job import Block, ChatJob, Document, SearchResult, ToolResult, ToolUse

# Blocks are texts, images, tool calls, tool results and the parts of tool results, among others.
_MAX_BLOCKS = 20_000
# The limit is for the JSON values in tool schemas, documents, search results and the arguments of tool calls. It
# includes the values in arguments that clients send as text.
_MAX_VALUES = 100_000


def check_job_limits(job: ChatJob) -> None:
    """Reject a job that has too many blocks or JSON values.

    Raises:
        ApiError: 413 if the job exceeds a limit.
    """
    blocks = [part for turn in job.turns for block in turn.blocks for part in _iterate_parts(block)]
    if len(blocks) > _MAX_BLOCKS:
        raise _too_complex(f"{len(blocks)} content blocks", _MAX_BLOCKS)
    remaining = _MAX_VALUES
    for value in _iterate_values(job, blocks):
        remaining = _subtract_values(value, remaining)


def _iterate_parts(block: Block) -> Iterator[Block]:
    yield block
    if isinstance(block, ToolResult):
        yield from block.content


def _iterate_values(job: ChatJob, blocks: Iterable[Block]) -> Iterator[Mapping[str, Any]]:
    for tool in job.tools:
        yield tool.schema
    for block in blocks:
        match block:
            case ToolUse(_, _, arguments):
                yield arguments
            case Document(fields) | SearchResult(fields):
                yield fields


def _subtract_values(value: Any, remaining: int) -> int:
    """Subtract the number of JSON values in `value` from the number that the job may still have.

    Returns:
        The number of values that the job may have in addition to those in `value`.

    Raises:
        ApiError: 413 if `value` has too many values.
    """
    pending = [value]
    while pending:
        current = pending.pop()
        remaining -= 1
        if isinstance(current, Mapping):
            pending += current.values()
        elif isinstance(current, list | tuple):
            pending += current
        if remaining < len(pending):
            raise _too_complex("too many JSON values in the schemas of tools and the arguments of calls", _MAX_VALUES)
    return remaining


def _too_complex(excess: str, maximum: int) -> ApiError:
    message = f"The request contains {excess} (maximum: {maximum})."
    return ApiError(413, "request_too_large", message, code="request_too_large")
