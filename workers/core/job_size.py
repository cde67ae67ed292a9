"""Estimates the size of a job. If a job is large, the gateway processes it outside of the event loop. No I/O."""

from collections.abc import Iterable, Mapping

from workers.core.job import (
    Block,
    ChatJob,
    Document,
    Image,
    RedactedThinkingBlock,
    SearchResult,
    Text,
    ThinkingBlock,
    ToolDefinition,
    ToolResult,
    ToolUse,
    Turn,
)

# The assumed size of a block or a tool without the texts in it.
_BLOCK_OVERHEAD_BYTES = 100
# The assumed size of a JSON object whose parts the functions do not count individually.
_OBJECT_ESTIMATE_BYTES = 1_000


def estimate_job_bytes(job: ChatJob) -> int:
    """Return the size of all texts, images and documents in a job, plus some bytes for each block and tool."""
    return len(job.system) + estimate_turns_bytes(job.turns) + sum(map(_estimate_tool_bytes, job.tools))


def estimate_turns_bytes(turns: Iterable[Turn]) -> int:
    """Return the size of all texts, images and documents in these turns, plus some bytes for each block."""
    return sum(_estimate_block_bytes(block) for turn in turns for block in turn.blocks)


def _estimate_tool_bytes(tool: ToolDefinition) -> int:
    properties = tool.schema.get("properties")
    count = len(properties) if isinstance(properties, Mapping) else 0
    return _OBJECT_ESTIMATE_BYTES + len(tool.description) + count * _BLOCK_OVERHEAD_BYTES


def _estimate_block_bytes(block: Block) -> int:
    match block:
        case Text(text) | ThinkingBlock(text):
            return _BLOCK_OVERHEAD_BYTES + len(text)
        case Image({"data": str(data)}) | RedactedThinkingBlock(data):
            return _BLOCK_OVERHEAD_BYTES + len(data)
        case Document({"source": {"data": str(data)}}):
            return _BLOCK_OVERHEAD_BYTES + len(data)
        case ToolResult(_, content):
            return _BLOCK_OVERHEAD_BYTES + sum(map(_estimate_block_bytes, content))
        case Image() | Document() | SearchResult() | ToolUse():
            return _OBJECT_ESTIMATE_BYTES
