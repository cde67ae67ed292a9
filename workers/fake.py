"""A scripted `claude` process: the seam at which tests replace the real one, shipped so that others can too."""

import asyncio
import signal
from collections.abc import Iterable
from typing import Any

from workers.frames import Frame

_KILLED = -signal.SIGKILL


class ScriptedProcess:
    """Plays the CLI's part: takes settings, history and cuts as the real one does, and answers each
    prompt with the next of `answers`. An answer is a list of frames; the empty one never ends.

    `written` holds every frame it was sent, `killed` whether it was.
    """

    def __init__(self, answers: Iterable[list[Frame]] = (), *, account: dict[str, Any] | None = None) -> None:
        self.pid = 0
        self.written: list[Frame] = []
        self.killed = False
        self.stderr = ""
        self._answers = iter(answers)
        self._account = account if account is not None else {"apiKeySource": "ANTHROPIC_API_KEY"}
        self._out: asyncio.Queue[list[Frame]] = asyncio.Queue()
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._answering = False

    async def read(self) -> list[Frame]:
        if self._ended.done() and self._out.empty():
            return []
        return await self._out.get()

    async def write(self, *frames: Frame) -> None:
        if self._ended.done():
            raise ConnectionResetError("the scripted process has ended")
        for frame in frames:
            self.written.append(frame)
            if reply := self._reply(frame):
                self._out.put_nowait(reply)

    async def started(self) -> None:
        """Nothing is kept for it."""

    def die(self, status: int = 1) -> None:
        """End as a process does that crashes."""
        if not self._ended.done():
            self._ended.set_result(status)
            self._out.put_nowait([])

    def kill(self) -> None:
        self.killed = True
        self.die(_KILLED)

    async def ended(self) -> int:
        return await asyncio.shield(self._ended)

    @property
    def words(self) -> int:
        return len(self.stderr)

    def last_words(self, since: int = 0) -> str:
        return self.stderr[since:]

    def sent(self, subtype: str) -> list[Frame]:
        """The control requests of one subtype that it was sent."""
        return [frame["request"] for frame in self.written if frame.get("request", {}).get("subtype") == subtype]

    def _reply(self, frame: Frame) -> list[Frame]:
        match frame:
            case {"type": "control_request", "request": {"subtype": "initialize"}, "request_id": request_id}:
                answer: dict[str, Any] = {
                    "account": self._account,
                    "models": [],
                    "claude_code_version": "0.0.0-scripted",
                }
                return [_success(request_id, answer)]
            case {"type": "control_request", "request": {"subtype": "interrupt"}, "request_id": request_id}:
                stopped = [result(is_error=True, subtype="error_during_execution")] if self._answering else []
                self._answering = False
                return [_success(request_id), *stopped]
            case {"type": "control_request", "request": {"subtype": "rewind_conversation"}, "request_id": request_id}:
                return [_success(request_id, {"rewound": True})]
            case {"type": "control_request", "request": {"servers": dict(servers)}, "request_id": request_id}:
                return [_success(request_id), *map(_asks_for_tools, servers)]
            case {"type": "control_request", "request_id": request_id}:
                return [_success(request_id)]
            case {"type": "user", "shouldQuery": False}:
                return [result()]
            case {"type": "user"}:
                answer_frames = next(self._answers)
                self._answering = not any(one["type"] == "result" for one in answer_frames)
                return answer_frames
        return []


def says(text: str, *, stop_reason: str = "end_turn", model: str = "claude-test") -> list[Frame]:
    """The frames of a plain streamed answer, one delta a word."""
    words = text.split(" ")
    pieces = [word + " " for word in words[:-1]] + words[-1:]
    return [
        message_start(model),
        block_start(),
        *(text_delta(piece) for piece in pieces),
        stream_event("content_block_stop", index=0),
        stream_event("message_delta", delta={"stop_reason": stop_reason}, usage={"output_tokens": len(pieces)}),
        stream_event("message_stop"),
        result(),
    ]


def message_start(model: str = "claude-test", **usage: int) -> Frame:
    counts = {"input_tokens": 1, "output_tokens": 1, **usage}
    return stream_event("message_start", message={"model": model, "usage": counts})


def block_start(**block: Any) -> Frame:
    return stream_event("content_block_start", index=0, content_block=block or {"type": "text", "text": ""})


def text_delta(text: str) -> Frame:
    return stream_event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})


def stream_event(kind: str, **fields: Any) -> Frame:
    return {"type": "stream_event", "event": {"type": kind, **fields}, "parent_tool_use_id": None}


def result(*, is_error: bool = False, subtype: str = "success", **fields: Any) -> Frame:
    return {"type": "result", "subtype": subtype, "is_error": is_error, **fields}


def _asks_for_tools(server: str) -> Frame:
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    request = {"subtype": "mcp_message", "server_name": server, "message": message}
    return {"type": "control_request", "request_id": f"list of {server}", "request": request}


def _success(request_id: str, response: dict[str, Any] | None = None) -> Frame:
    return {
        "type": "control_response",
        "response": {"subtype": "success", "request_id": request_id, "response": response or {}},
    }
