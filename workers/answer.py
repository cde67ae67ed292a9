"""The frames of one turn, folded into the events of one answer. Pure.

Sources of each rule: what CLI 2.1.330 was seen to do with the stand-in upstream (tests/e2e/test_upstream_trouble.py).
"""

from typing import Any, cast

from workers import pieces
from workers.errors import ErrorKind, WorkerError
from workers.events import BlockEnded, Event, Finished, Piece, Restarted, Started, StopReason, Usage
from workers.figures import name, seconds, tokens
from workers.frames import Frame
from workers.piece_repair import PieceRepair
from workers.shown import Shown
from workers.upstream_words import name_too_long

# At these the CLI asks the model again by itself ("Output token limit hit. Resume directly…"); a chat API stops.
_ENDS_AT_ONCE = frozenset({"max_tokens", "model_context_window_exceeded", "tool_use"})
_SYNTHETIC = "<synthetic>"
# How a turn ends in which the CLI was kept from a further request (`workers.setup`).
ENDED_EARLY = "error_max_structured_output_retries"
_STATUS_KINDS = {
    400: ErrorKind.INVALID_REQUEST,
    401: ErrorKind.LOGIN,
    402: ErrorKind.BILLING,
    403: ErrorKind.LOGIN,
    404: ErrorKind.MODEL_NOT_FOUND,
    413: ErrorKind.TOO_LARGE,
    429: ErrorKind.RATE_LIMITED,
    529: ErrorKind.OVERLOADED,
}
_WORD_KINDS = {
    "authentication_failed": ErrorKind.LOGIN,
    "billing_error": ErrorKind.BILLING,
    "oauth_org_not_allowed": ErrorKind.LOGIN,
    "rate_limit": ErrorKind.RATE_LIMITED,
    "overloaded": ErrorKind.OVERLOADED,
    "invalid_request": ErrorKind.INVALID_REQUEST,
    "model_not_found": ErrorKind.MODEL_NOT_FOUND,
}
# A wait longer than this is the caller's to sit out, with a Retry-After, rather than a worker's.
_LONGEST_RETRY_WAIT_SECONDS = 2.0
_LONGEST_QUOTE = 1_000


class Answer:
    """Feed it the frames that follow a prompt; `finished` once the answer is whole."""

    def __init__(self) -> None:
        self.finished = False
        self.streaming = False
        self._shown = Shown()
        self._started = False
        self._block_may_have_ended = False
        self._usage = Usage()
        self._stop_reason: StopReason | None = None
        self._stop_sequence: str | None = None
        self._error_word = ""
        self._has_result = False
        self._repair = PieceRepair()

    @property
    def stop_reason(self) -> StopReason | None:
        """Why the model ended this message; None while it goes on."""
        return self._stop_reason

    def feed(self, frame: Frame) -> list[Event]:
        """The events that this frame means, in order. Raises `WorkerError` when the answer failed."""
        if frame.get("parent_tool_use_id") is not None:
            return []
        match frame:
            case {"type": "stream_event", "event": event}:
                return self._stream_event(event)
            case {"type": "assistant", "message": message}:
                return self._assistant(frame, message)
            case {"type": "system", "subtype": "api_retry"}:
                _refuse_long_wait(frame)
            case {"type": "system", "subtype": "compact_boundary"}:
                raise WorkerError(ErrorKind.TOO_LONG, _caller_message(ErrorKind.TOO_LONG, None, ""))
            case {"type": "user", "isSynthetic": True} if self._stop_reason is not None:
                # The answer is whole, and too little for the CLI, which is about to ask for more: the model ended its
                # turn without a word, or with thoughts alone.
                return self._finish(self._stop_reason)
            case {"type": "user", "isSynthetic": True}:
                # "Your response above was cut off mid-stream. Resume directly…": the CLI would go on in a
                # second message that continues a text which this side cannot know.
                raise WorkerError(ErrorKind.CUT, "The upstream connection broke in the middle of the answer.")
            case {"type": "user", "message": {"content": [{"type": "tool_result"}, *_]}}:
                self._has_result = self._block_may_have_ended = True
            case {"type": "result"}:
                return self._result(frame)
        return []

    def _stream_event(self, event: dict[str, Any]) -> list[Event]:
        match event:
            case {"type": "content_block_delta", "delta": delta}:
                return self._show(pieces.delta(delta))
            case {"type": "content_block_start", "content_block": block}:
                return self._end_block() + self._show(pieces.start(block))
            case {"type": "content_block_stop"}:
                self._block_may_have_ended = True
            case {"type": "message_start", "message": message}:
                return self._message_start(message)
            case {"type": "message_delta", "delta": {"stop_reason": str(reason)} as delta}:
                self._usage = _usage(event.get("usage"), self._usage)
                return self._end_block() + self._stopped(reason, delta.get("stop_sequence"))
            case {"type": "message_stop"}:
                self.streaming = False
        return []

    def _show(self, piece: Piece | None) -> list[Event]:
        repaired = self._repair.feed(piece) if piece is not None else []
        return [event for one in repaired for event in self._shown.add(one)]

    def _end_block(self) -> list[Event]:
        """The CLI closes blocks also where the connection broke; only what comes next tells the one from the other."""
        ended = self._block_may_have_ended
        self._block_may_have_ended = False
        return self._show(BlockEnded()) if ended else []

    def _message_start(self, message: dict[str, Any]) -> list[Event]:
        self.streaming = True
        self._begin(message)
        return self._start(message)

    def _begin(self, message: dict[str, Any]) -> None:
        self._shown.rewind()
        self._repair = PieceRepair()
        self._stop_reason = None
        self._block_may_have_ended = False
        self._usage = _usage(message.get("usage"), Usage())

    def _start(self, message: dict[str, Any]) -> list[Event]:
        if self._started:
            return []
        self._started = True
        return [Started(name(message["model"]), self._usage, name(message.get("id")))]

    def _assistant(self, frame: Frame, message: dict[str, Any]) -> list[Event]:
        if frame.get("api_error") == "media_removed":
            # The upstream refused it, and the CLI asks again without it: the model would answer, and not say so.
            media = "a document" if (frame.get("api_error_params") or {}).get("media") == "document" else "an image"
            raise WorkerError(ErrorKind.INVALID_REQUEST, f"The upstream could not take {media} of this conversation.")
        if frame.get("error"):
            self._error_word = frame["error"]
            return []
        if message.get("stop_reason") is None or message.get("model") == _SYNTHETIC:
            return []  # the blocks of a stream that was already passed on delta by delta
        # A whole message without deltas: the stream broke, and the CLI asked again without streaming.
        self._begin(message)
        events = self._start(message)
        for block in message["content"]:
            for piece in pieces.whole(block):
                events += self._show(piece)
        return events + self._stopped(message["stop_reason"], message.get("stop_sequence"))

    def _stopped(self, reason: str, sequence: str | None) -> list[Event]:
        self._stop_reason = cast(StopReason, reason)
        self._stop_sequence = sequence
        return self._finish(self._stop_reason) if reason in _ENDS_AT_ONCE else []

    def _result(self, frame: Frame) -> list[Event]:
        if self._stop_reason is not None:  # whatever the CLI tried behind a whole answer is of no matter
            return self._finish(self._stop_reason)
        if self._has_result and frame.get("subtype") == ENDED_EARLY:
            # The CLI answered a call of a tool that was not offered, and ended the turn there; more it has not read.
            return self._end_block() + self._finish("tool_use")
        if frame.get("is_error") or frame.get("subtype") != "success":
            raise self._failure(frame)
        raise WorkerError(ErrorKind.WORKER_CONFUSED, "Claude Code ended the turn without an answer.")

    def _finish(self, reason: StopReason) -> list[Event]:
        self.finished = True
        return [*self._shown.close(), Finished(reason, self._usage, self._stop_sequence)]

    def _failure(self, frame: Frame) -> WorkerError:
        status = frame.get("api_error_status")
        text = str(frame.get("result") or "")
        if text.startswith("Prompt is too long"):
            kind = ErrorKind.TOO_LONG
        elif isinstance(status, int):
            kind = _STATUS_KINDS.get(status, ErrorKind.INVALID_REQUEST if status < 500 else ErrorKind.UPSTREAM)
        elif "Not logged in" in text or "Invalid API key" in text:
            kind = ErrorKind.LOGIN
        elif self._shown.characters:
            kind = ErrorKind.CUT
        else:
            kind = _WORD_KINDS.get(self._error_word, ErrorKind.UPSTREAM)
        return WorkerError(kind, _caller_message(kind, status, text), detail=repr(text[:_LONGEST_QUOTE]))


def is_visible(event: Event) -> bool:
    """True for events that a reader of a stream has seen something of."""
    return not isinstance(event, Started | Restarted)


def _refuse_long_wait(frame: Frame) -> None:
    """The CLI is about to wait and try again. That is kept from a 429, which the caller shall know at once."""
    wait = seconds(frame.get("retry_delay_ms"))
    status = frame.get("error_status")
    if status == 429:
        raise WorkerError(ErrorKind.RATE_LIMITED, "The upstream's rate limit is reached.", retry_after=wait)
    if wait > _LONGEST_RETRY_WAIT_SECONDS:
        kind = _STATUS_KINDS.get(status or 0, ErrorKind.UPSTREAM)
        raise WorkerError(kind, _caller_message(kind, status, ""), retry_after=wait)


def _usage(told: object, known: Usage) -> Usage:
    """Token counts out of a Messages API `usage`; what it does not name stays as known."""
    raw = told if isinstance(told, dict) else {}
    details = raw.get("output_tokens_details")
    return Usage(
        input=tokens(raw.get("input_tokens")) or known.input,
        output=tokens(raw.get("output_tokens")) or known.output,
        cache_read=tokens(raw.get("cache_read_input_tokens")) or known.cache_read,
        cache_write=tokens(raw.get("cache_creation_input_tokens")) or known.cache_write,
        thinking=tokens(details.get("thinking_tokens") if isinstance(details, dict) else None) or known.thinking,
    )


def _caller_message(kind: ErrorKind, status: int | None, text: str) -> str:
    """A sentence for the caller. Only a refusal of the request itself is quoted: the rest of what the CLI
    says speaks of its own host, commands and settings."""
    match kind:
        case ErrorKind.INVALID_REQUEST:
            said = text.removeprefix("API Error: ").removeprefix(f"{status} ")[:_LONGEST_QUOTE]
            return "".join(c if c.isprintable() else " " for c in said) or "The upstream refused the request."
        case ErrorKind.TOO_LONG:
            return name_too_long("")
        case ErrorKind.BILLING:
            return (
                "The upstream refuses this gateway's account for its billing; the owner of this gateway must settle it."
            )
        case ErrorKind.LOGIN:
            return "Claude Code's own login failed; the owner of this gateway must renew it."
        case ErrorKind.MODEL_NOT_FOUND:
            return "The upstream does not know this model, or the login may not use it."
        case ErrorKind.CUT:
            return "The upstream connection broke in the middle of the answer."
        case _:
            words = kind.value[0].upper() + kind.value[1:]
            return f"{words} ({status})." if status else f"{words}."
