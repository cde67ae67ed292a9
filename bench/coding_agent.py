"""Client of the Messages API that works as a coding agent does. The fake Anthropic API scripts its replies."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import aiohttp
import orjson

from bench.parts import MODEL
from claude_gateway.devtools.fake_anthropic.server import RecordedRequest

Json = dict[str, Any]

_SMALL_MODEL = "claude-haiku-4-5-20251001"
_MAX_OUTPUT_TOKENS = 8_000
_LINE = "{:05} the quick brown fox jumps over the lazy dog and runs"
_SYSTEM_BYTES = 12_000
_SUMMARY_BYTES = 1_500
_CONTEXT_BYTES = 40_000
_TOOL_DESCRIPTION_BYTES = 1_500
_TOOL_PARAMETERS = {
    "Read": ("file_path",),
    "Write": ("file_path", "content"),
    "Edit": ("file_path", "old_string", "new_string"),
    "Bash": ("command",),
    "Grep": ("pattern", "path"),
    "WebFetch": ("url", "prompt"),
}
# The size of each result and the duration of each call, both relative to those of `Bash`.
_RESULT_SHARES = {"Read": 0.6, "Write": 0.02, "Edit": 0.1, "Bash": 1.0}
_DURATION_SHARES = {"Read": 0.02, "Write": 0.02, "Edit": 0.02, "Bash": 1.0}


@dataclass(frozen=True, slots=True)
class TurnTimes:
    """The times of one turn, by `time.perf_counter`.

    Attributes:
        name: A text that the upstream requests of the turn contain, and no other requests.
        sent_at: The time at which the client sent the request.
        ended_at: The time at which the client had read the response.
    """

    name: str
    sent_at: float
    ended_at: float


@dataclass(frozen=True, slots=True)
class CodingAgentOptions:
    """The options of a coding agent.

    Attributes:
        turn_count: The number of turns with tool calls.
        pace_seconds: The time that the fake API waits before each delta.
        bash_result_bytes: The size of the result of a shell command. Other tools have smaller results.
        bash_seconds: The time that a shell command takes. Other tools take less time.
    """

    turn_count: int
    pace_seconds: float = 0.0
    bash_result_bytes: int = 8_000
    bash_seconds: float = 0.5


@dataclass(slots=True)
class CodingAgent:
    """A coding agent with one conversation.

    Attributes:
        name: The name of the agent. Each of its requests contains it, except for the request for a title.
        session: The session with which the agent sends its requests.
        options: The options of the agent.
        messages: The messages of the conversation.
        turns: The times of the turns so far, without the request for a title.
        is_done: Whether the agent has sent its final reply.
    """

    name: str
    session: aiohttp.ClientSession
    options: CodingAgentOptions
    messages: list[Json] = field(default_factory=list)
    turns: list[TurnTimes] = field(default_factory=list)
    is_done: bool = False

    def __post_init__(self) -> None:
        options = self.options
        self._start_conversation(
            f"{{{{agent turns={options.turn_count} dir=/tmp/{self.name} pace={options.pace_seconds}}}}}"
        )

    def _start_conversation(self, task: str) -> None:
        context = make_text(f"context of {self.name}", _CONTEXT_BYTES)
        content = [{"type": "text", "text": context}, {"type": "text", "text": task}]
        self.messages = [{"role": "user", "content": content}]

    async def request_title(self) -> None:
        """Request a title of the conversation, in another conversation with a small model."""
        question = {"role": "user", "content": f"Write a title for the work of agent {self.name.upper()}."}
        body = {
            "model": _SMALL_MODEL,
            "system": "Reply with a short title.",
            "messages": [question],
            "max_tokens": 100,
            "stream": True,
        }
        await self._send(body)

    async def take_turn(self) -> None:
        """Send the conversation, add the reply, and run the tools that the reply calls."""
        blocks = await self._send_conversation(self.messages)
        self.messages.append({"role": "assistant", "content": blocks})
        calls = [block for block in blocks if block["type"] == "tool_use"]
        self.is_done = not calls
        if calls:
            await asyncio.sleep(max(_DURATION_SHARES[call["name"]] for call in calls) * self.options.bash_seconds)
            self.messages.append({"role": "user", "content": [self._make_result(call) for call in calls]})

    async def compact(self) -> None:
        """Request a summary of the conversation, and continue in a new conversation that starts with the summary."""
        *earlier, last = self.messages
        summary = make_text(f"summary for {self.name}", _SUMMARY_BYTES)
        request = {"type": "text", "text": f"Write a summary of the conversation so far. {{{{say {summary}}}}}"}
        blocks = await self._send_conversation([*earlier, {**last, "content": [*last["content"], request]}])
        self._start_conversation("".join(block["text"] for block in blocks if block["type"] == "text"))

    def _make_result(self, call: Json) -> Json:
        size = int(_RESULT_SHARES[call["name"]] * self.options.bash_result_bytes)
        text = make_text(f"result of {call['id']}", size)
        return {"type": "tool_result", "tool_use_id": call["id"], "content": text}

    async def _send_conversation(self, messages: list[Json]) -> list[Json]:
        body = {
            "model": MODEL,
            "system": make_text(f"You are {self.name}.", _SYSTEM_BYTES),
            "messages": messages,
            "tools": make_tools(),
            "max_tokens": _MAX_OUTPUT_TOKENS,
            "stream": True,
        }
        sent_at = time.perf_counter()
        blocks = await self._send(body)
        self.turns.append(TurnTimes(self.name, sent_at, time.perf_counter()))
        return blocks

    async def _send(self, body: Json) -> list[Json]:
        headers = {"content-type": "application/json", "anthropic-version": "2023-06-01"}
        async with self.session.post("/v1/messages", data=orjson.dumps(body), headers=headers) as response:
            content = await response.read()
        if response.status != HTTPStatus.OK:
            raise RuntimeError(f"{self.name} got {response.status}: {content[:300]!r}")
        return parse_message_stream(content)


def make_text(title: str, size: int) -> str:
    """Return a text of about this size that starts with a title."""
    return "\n".join([title, *(_LINE.format(number) for number in range(size // (len(_LINE) + 1)))])


def make_tools() -> list[Json]:
    """Return the definitions of the tools of the agent."""
    return [
        {
            "name": name,
            "description": make_text(f"The tool {name}.", _TOOL_DESCRIPTION_BYTES),
            "input_schema": {
                "type": "object",
                "properties": {parameter: {"type": "string"} for parameter in parameters},
                "required": list(parameters),
            },
        }
        for name, parameters in _TOOL_PARAMETERS.items()
    ]


def parse_message_stream(content: bytes) -> list[Json]:
    """Return the content blocks of a streamed message, as the client sends them back.

    Raises:
        RuntimeError: The stream has no end, or contains an error.
    """
    blocks: list[Json] = []
    inputs: dict[int, str] = {}
    for line in content.splitlines():
        if not line.startswith(b"data: {"):
            continue
        match orjson.loads(line[6:]):
            case {"type": "content_block_start", "content_block": block}:
                blocks.append(dict(block))
            case {"type": "content_block_delta", "delta": {"text": text}}:
                blocks[-1]["text"] += text
            case {"type": "content_block_delta", "index": index, "delta": {"partial_json": text}}:
                inputs[index] = inputs.get(index, "") + text
            case {"type": "error"} as error:
                raise RuntimeError(f"the stream has failed: {error}")
            case {"type": "message_stop"}:
                for index, text in inputs.items():
                    blocks[index]["input"] = orjson.loads(text or "{}")
                return blocks
    raise RuntimeError(f"the stream has no end: {content[-200:]!r}")


def compute_added_seconds(turn: TurnTimes, requests: Sequence[RecordedRequest]) -> float:
    """Return the time of a turn without the time for which the upstream worked on it."""
    name = turn.name.encode()
    upstream_seconds = sum(
        request.ended_at - request.received_at
        for request in requests
        if turn.sent_at <= request.received_at <= turn.ended_at and name in request.raw
    )
    if not upstream_seconds:
        raise RuntimeError(f"the upstream got no request of {turn.name}")
    return turn.ended_at - turn.sent_at - upstream_seconds
