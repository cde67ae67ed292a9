"""Scripted `claude` process that replaces the real one in tests."""

import asyncio
import signal
from collections.abc import Iterable
from typing import Any

from workers.cli.output_reader import CanWait
from workers.core.frame import Frame

_KILLED_STATUS = -signal.SIGKILL


class ScriptedProcess:
    """A scripted CLI process. It accepts settings, history and rewinds, and answers each prompt with the next reply.

    Attributes:
        pid: Always 0.
        written_frames: All frames that were written to the process.
        is_killed: Whether `kill` was called.
        stderr: The text that the process has written to stderr. Tests may set it.
    """

    def __init__(self, replies: Iterable[list[Frame]] = (), *, account: dict[str, Any] | None = None) -> None:
        """Create a process that is ready for frames.

        Args:
            replies: The frames of each reply. A reply without frames never ends.
            account: The account that the process reports as its login.
        """
        self.pid = 0
        self.written_frames: list[Frame] = []
        self.is_killed = False
        self.stderr = ""
        self._replies = iter(replies)
        self._account = account if account is not None else {"apiKeySource": "ANTHROPIC_API_KEY"}
        self._output_queue: asyncio.Queue[list[Frame]] = asyncio.Queue()
        self._exit_status: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._is_replying = False

    async def read(self, deadline: float | None = None, can_wait: CanWait | None = None) -> list[Frame]:
        """Return the next frames of the output, or an empty list at the end of the output."""
        if self._exit_status.done() and self._output_queue.empty():
            return []
        async with asyncio.timeout_at(deadline):
            return await self._output_queue.get()

    async def write(self, *frames: Frame, deadline: float | None = None) -> None:
        """Handle frames as the CLI does.

        Raises:
            ConnectionResetError: The process has exited.
        """
        if self._exit_status.done():
            raise ConnectionResetError("the scripted process has ended")
        for frame in frames:
            self.written_frames.append(frame)
            if reply := self._handle_frame(frame):
                self._output_queue.put_nowait(reply)

    async def mark_ready(self) -> None:
        """Do nothing. A real process changes its priority in this method."""

    def exit_with(self, status: int = 1) -> None:
        """Exit with this status, like a process that crashes."""
        if not self._exit_status.done():
            self._exit_status.set_result(status)
            self._output_queue.put_nowait([])

    def kill(self) -> None:
        """Exit with the status of a process that was killed by SIGKILL."""
        self.is_killed = True
        self.exit_with(_KILLED_STATUS)

    async def wait_exited(self) -> int:
        """Wait until the process exits, and return the exit status."""
        return await asyncio.shield(self._exit_status)

    @property
    def stderr_byte_count(self) -> int:
        """The length of the text that the process has written to stderr."""
        return len(self.stderr)

    def stderr_tail(self, offset_bytes: int = 0) -> str:
        """Return the text on stderr that follows the first `offset_bytes`."""
        return self.stderr[offset_bytes:]

    def get_control_requests(self, subtype: str) -> list[Frame]:
        """Return the control requests of this subtype that were written to the process."""
        return [frame["request"] for frame in self.written_frames if frame.get("request", {}).get("subtype") == subtype]

    def _handle_frame(self, frame: Frame) -> list[Frame]:
        match frame:
            case {"type": "control_request", "request": {"subtype": "initialize"}, "request_id": request_id}:
                response: dict[str, Any] = {
                    "account": self._account,
                    "models": [],
                    "claude_code_version": "0.0.0-scripted",
                }
                return [_build_success_response(request_id, response)]
            case {"type": "control_request", "request": {"subtype": "interrupt"}, "request_id": request_id}:
                results = [result_frame(is_error=True, subtype="error_during_execution")] if self._is_replying else []
                self._is_replying = False
                return [_build_success_response(request_id), *results]
            case {"type": "control_request", "request": {"subtype": "rewind_conversation"}, "request_id": request_id}:
                return [_build_success_response(request_id, {"rewound": True})]
            case {"type": "control_request", "request": {"servers": dict(servers)}, "request_id": request_id}:
                return [_build_success_response(request_id), *map(_build_tools_list_request, servers)]
            case {"type": "control_request", "request_id": request_id}:
                return [_build_success_response(request_id)]
            case {"type": "user", "shouldQuery": False}:
                return [result_frame()]
            case {"type": "user"}:
                reply = next(self._replies)
                self._is_replying = not any(reply_frame["type"] == "result" for reply_frame in reply)
                return reply
        return []


def text_reply_frames(text: str, *, stop_reason: str = "end_turn", model: str = "claude-test") -> list[Frame]:
    """Return the frames of a streamed text reply. Each word is a delta."""
    words = text.split(" ")
    deltas = [word + " " for word in words[:-1]] + words[-1:]
    return [
        message_start_frame(model),
        block_start_frame(),
        *(text_delta_frame(delta) for delta in deltas),
        stream_event_frame("content_block_stop", index=0),
        stream_event_frame("message_delta", delta={"stop_reason": stop_reason}, usage={"output_tokens": len(deltas)}),
        stream_event_frame("message_stop"),
        result_frame(),
    ]


def message_start_frame(model: str = "claude-test", **usage: int) -> Frame:
    """Return the frame with which a message starts."""
    counts = {"input_tokens": 1, "output_tokens": 1, **usage}
    return stream_event_frame("message_start", message={"model": model, "usage": counts})


def block_start_frame(**block: Any) -> Frame:
    """Return the frame with which a block starts. The default is a text block."""
    return stream_event_frame("content_block_start", index=0, content_block=block or {"type": "text", "text": ""})


def text_delta_frame(text: str) -> Frame:
    """Return a frame that contains a part of a text block."""
    return stream_event_frame("content_block_delta", index=0, delta={"type": "text_delta", "text": text})


def stream_event_frame(event_type: str, **fields: Any) -> Frame:
    """Return a frame that contains a streaming event of the Messages API."""
    return {"type": "stream_event", "event": {"type": event_type, **fields}, "parent_tool_use_id": None}


def result_frame(*, is_error: bool = False, subtype: str = "success", **fields: Any) -> Frame:
    """Return the frame with which the CLI ends a turn."""
    return {"type": "result", "subtype": subtype, "is_error": is_error, **fields}


def _build_tools_list_request(server: str) -> Frame:
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    request = {"subtype": "mcp_message", "server_name": server, "message": message}
    return {"type": "control_request", "request_id": f"list of {server}", "request": request}


def _build_success_response(request_id: str, response: dict[str, Any] | None = None) -> Frame:
    return {
        "type": "control_response",
        "response": {"subtype": "success", "request_id": request_id, "response": response or {}},
    }


def tool_call_frames(name: str = "f") -> list[Frame]:
    """Return the frames of a reply with one tool call; the CLI then waits for a permission."""
    permission_request = {
        "type": "control_request",
        "request_id": "r1",
        "request": {"subtype": "can_use_tool", "tool_name": name},
    }
    block = {"type": "tool_use", "id": "call_1", "name": name, "input": {"a": 1}}
    return [
        message_start_frame(),
        block_start_frame(type="tool_use", id="call_1", name=name),
        stream_event_frame(
            "content_block_delta", index=0, delta={"type": "input_json_delta", "partial_json": '{"a":1}'}
        ),
        {"type": "assistant", "uuid": "of-the-call", "message": {"model": "claude-test", "content": [block]}},
        permission_request,
        stream_event_frame("content_block_stop", index=0),
        stream_event_frame("message_delta", delta={"stop_reason": "tool_use"}, usage={"output_tokens": 1}),
    ]
