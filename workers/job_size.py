"""How large a job is, roughly: whether a step over all of it may run in the event loop. Pure."""

from collections.abc import Iterable, Mapping

from workers.job import (
    Block,
    ChatJob,
    Document,
    Image,
    RedactedThought,
    SearchResult,
    Text,
    Thought,
    Tool,
    ToolResult,
    ToolUse,
    Turn,
)

# What a block or a tool takes beside its text.
_AROUND_BYTES = 100
# An object whose parts are not counted one by one.
_OBJECT_BYTES = 1_000


def job_bytes(job: ChatJob) -> int:
    """The texts, images and documents of a job, and something for each of its parts."""
    return len(job.system) + turns_bytes(job.turns) + sum(map(_tool_bytes, job.tools))


def turns_bytes(turns: Iterable[Turn]) -> int:
    return sum(_block_bytes(block) for turn in turns for block in turn.blocks)


def _tool_bytes(tool: Tool) -> int:
    properties = tool.schema.get("properties")
    count = len(properties) if isinstance(properties, Mapping) else 0
    return _OBJECT_BYTES + len(tool.description) + count * _AROUND_BYTES


def _block_bytes(block: Block) -> int:
    match block:
        case Text(text) | Thought(text):
            return _AROUND_BYTES + len(text)
        case Image({"data": str(data)}) | RedactedThought(data):
            return _AROUND_BYTES + len(data)
        case Document({"source": {"data": str(data)}}):
            return _AROUND_BYTES + len(data)
        case ToolResult(_, content):
            return _AROUND_BYTES + sum(map(_block_bytes, content))
        case Image() | Document() | SearchResult() | ToolUse():
            return _OBJECT_BYTES
