"""Parser that converts the frames of one CLI turn into the events of one reply. No I/O.

The rules follow the behaviour of CLI 2.1.330 with the fake Anthropic API (tests/e2e/upstream/test_upstream_errors.py).
"""

from typing import Any, cast

from workers.cli.upstream_errors import ensure_too_long_text
from workers.core.bounded_numbers import parse_name, parse_token_count, parse_wait_seconds
from workers.core.errors import ErrorKind, WorkerError
from workers.core.events import (
    BlockEnded,
    BlockEvent,
    Event,
    Finished,
    Started,
    StopReason,
    StreamReset,
    TextDelta,
    TokenUsage,
)
from workers.core.frame import Frame
from workers.parsing import blocks
from workers.parsing.block_repair import BlockRepair
from workers.parsing.login_errors import LOGIN_API_ERRORS, concerns_only_model
from workers.parsing.replay_filter import ReplayFilter

# If the model stops for one of these reasons, the CLI asks it for more ("Output token limit hit. Resume directly…"),
# but the reply of a chat API ends.
_IMMEDIATE_STOP_REASONS = frozenset({"max_tokens", "model_context_window_exceeded", "tool_use"})
_SYNTHETIC_MODEL = "<synthetic>"
# The subtype of the `result` of a turn in which the CLI was not allowed to send a further request
# (`workers.worker.process_config`).
REQUEST_LIMIT_SUBTYPE = "error_max_structured_output_retries"
_ERROR_KINDS_BY_STATUS = {
    400: ErrorKind.INVALID_REQUEST,
    401: ErrorKind.AUTHENTICATION,
    402: ErrorKind.BILLING,
    403: ErrorKind.AUTHENTICATION,
    404: ErrorKind.MODEL_NOT_FOUND,
    413: ErrorKind.REQUEST_TOO_LARGE,
    429: ErrorKind.RATE_LIMITED,
    529: ErrorKind.OVERLOADED,
}
_ERROR_KINDS_BY_TYPE = {
    "authentication_failed": ErrorKind.AUTHENTICATION,
    "billing_error": ErrorKind.BILLING,
    "oauth_org_not_allowed": ErrorKind.AUTHENTICATION,
    "rate_limit": ErrorKind.RATE_LIMITED,
    "overloaded": ErrorKind.OVERLOADED,
    "invalid_request": ErrorKind.INVALID_REQUEST,
    "model_not_found": ErrorKind.MODEL_NOT_FOUND,
}
# The longest time for which the worker waits until the CLI repeats a request. If the CLI would wait longer, the client
# gets an error with Retry-After.
_MAX_RETRY_WAIT_SECONDS = 2.0
_MAX_QUOTE_CHARS = 1_000
# The `result` names one of these errors if the upstream rejected the request because a limit of the subscription is
# reached, or because the subscription includes no further use of this model.
_LIMIT_REACHED_ERRORS = ("usage_limit_reached", "model_requires_usage_credits")


class TurnParser:
    """Parses the frames that follow a prompt.

    Attributes:
        is_finished: Whether the reply is complete.
        is_streaming: Whether the upstream is streaming a message.
    """

    def __init__(self) -> None:
        self.is_finished = False
        self.is_streaming = False
        self._replay_filter = ReplayFilter()
        self._has_started = False
        self._has_pending_block_end = False
        self._usage = TokenUsage()
        self._stop_reason: StopReason | None = None
        self._stop_sequence: str | None = None
        self._error_type = ""
        self._error_frame: Frame = {}
        self._has_tool_result = False
        self._block_repair = BlockRepair()

    @property
    def stop_reason(self) -> StopReason | None:
        """The reason for which the model ended this message, or None until the message has ended."""
        return self._stop_reason

    @staticmethod
    def can_wait(frame: Frame) -> bool:
        """Return whether the frame can be parsed together with the next one, which follows at once.

        The parser also keeps back the end of a block until the next frame. After a stop reason that ends the turn, the
        next frame is the `result`.
        """
        kind = frame.get("type")
        if kind == "stream_event":
            match frame.get("event"):
                case {"type": "content_block_delta"}:  # the most frequent frame
                    return False
                case {"type": "content_block_stop" | "message_stop"}:
                    return True
                case {"type": "message_delta", "delta": {"stop_reason": "end_turn" | "stop_sequence"}}:
                    return True
            return False
        if kind == "assistant":
            match frame:
                case {"message": {"stop_reason": None}}:
                    return not frame.get("error") and not frame.get("api_error")
            return False
        return kind == "command_lifecycle" or (kind == "system" and frame.get("subtype") in ("init", "status"))

    def feed(self, frame: Frame) -> list[Event]:
        """Return the events that a frame contains, in their order.

        Raises:
            WorkerError: The reply failed.
        """
        if frame.get("parent_tool_use_id") is not None:
            return []
        if (text := _find_plain_text(frame)) is not None and self._block_repair.passes_plain_text():
            return self._replay_filter.feed_text(TextDelta(text))
        if frame.get("type") == "command_lifecycle":
            return []
        match frame:
            case {"type": "stream_event", "event": event}:
                return self._handle_stream_event(event)
            case {"type": "assistant", "message": message}:
                return self._handle_assistant(frame, message)
            case {"type": "system", "subtype": "api_retry"}:
                _check_retry_wait(frame)
            case {"type": "system", "subtype": "compact_boundary"}:
                raise WorkerError(
                    ErrorKind.CONTEXT_LENGTH_EXCEEDED,
                    _build_client_message(ErrorKind.CONTEXT_LENGTH_EXCEEDED, None, ""),
                )
            case {"type": "user", "isSynthetic": True} if self._stop_reason is not None:
                # The model ended its turn without text or only with thinking. The reply is complete, but the CLI is
                # about to ask the model for more.
                return self._finish(self._stop_reason)
            case {"type": "user", "isSynthetic": True}:
                # The CLI has asked the model to continue (`Your response above was cut off mid-stream. Resume
                # directly…`). The second message would continue a text that the parser does not know.
                raise WorkerError(
                    ErrorKind.UPSTREAM_DISCONNECTED, "The upstream connection broke in the middle of the reply."
                )
            case {"type": "user", "message": {"content": [{"type": "tool_result"}, *_]}}:
                self._has_tool_result = self._has_pending_block_end = True
            case {"type": "result"}:
                return self._handle_result(frame)
        return []

    def _handle_stream_event(self, event: dict[str, Any]) -> list[Event]:
        match event:
            case {"type": "content_block_delta", "delta": delta}:
                return self._emit(blocks.parse_block_delta(delta))
            case {"type": "content_block_start", "content_block": block}:
                return self._flush_block_end() + self._emit(blocks.parse_block_start(block))
            case {"type": "content_block_stop"}:
                self._has_pending_block_end = True
            case {"type": "message_start", "message": message}:
                return self._handle_message_start(message)
            case {"type": "message_delta", "delta": {"stop_reason": str(reason)} as delta}:
                self._usage = _parse_usage(event.get("usage"), self._usage)
                return self._flush_block_end() + self._handle_stop(reason, delta.get("stop_sequence"))
            case {"type": "message_stop"}:
                self.is_streaming = False
        return []

    def _emit(self, block_event: BlockEvent | None) -> list[Event]:
        if block_event is None:
            return []
        return self._replay_filter.feed_all(self._block_repair.feed(block_event))

    def _flush_block_end(self) -> list[Event]:
        """Return the `BlockEnded` event that the parser has held back until now.

        The CLI also closes a block when the connection has broken. Only the next frame shows whether the block is
        complete.
        """
        is_pending, self._has_pending_block_end = self._has_pending_block_end, False
        return self._emit(BlockEnded()) if is_pending else []

    def _handle_message_start(self, message: dict[str, Any]) -> list[Event]:
        self.is_streaming = True
        self._reset_message(message)
        return self._emit_started(message)

    def _reset_message(self, message: dict[str, Any]) -> None:
        self._replay_filter.start_replay()
        self._block_repair = BlockRepair()
        self._stop_reason = None
        self._has_pending_block_end = False
        self._usage = _parse_usage(message.get("usage"), TokenUsage())

    def _emit_started(self, message: dict[str, Any]) -> list[Event]:
        if self._has_started:
            return []
        self._has_started = True
        return [Started(parse_name(message["model"]), self._usage, parse_name(message.get("id")))]

    def _handle_assistant(self, frame: Frame, message: dict[str, Any]) -> list[Event]:
        if frame.get("api_error") == "media_removed":
            # The upstream rejected a file, and the CLI asks again without the file. The model's reply would not mention
            # this.
            media = "a document" if (frame.get("api_error_params") or {}).get("media") == "document" else "an image"
            raise WorkerError(ErrorKind.INVALID_REQUEST, f"The upstream could not read {media} of this conversation.")
        if frame.get("error"):
            self._error_type, self._error_frame = frame["error"], frame
            return []
        if message.get("stop_reason") is None or message.get("model") == _SYNTHETIC_MODEL:
            return []  # blocks that were already passed on as deltas
        # A whole message without deltas: the stream broke, and the CLI asked again without streaming.
        self._reset_message(message)
        events = self._emit_started(message)
        for block in message["content"]:
            for block_event in blocks.parse_whole_block(block):
                events += self._emit(block_event)
        return events + self._handle_stop(message["stop_reason"], message.get("stop_sequence"))

    def _handle_stop(self, stop_reason: str, stop_sequence: str | None) -> list[Event]:
        self._stop_reason = cast(StopReason, stop_reason)
        self._stop_sequence = stop_sequence
        return self._finish(self._stop_reason) if stop_reason in _IMMEDIATE_STOP_REASONS else []

    def _handle_result(self, frame: Frame) -> list[Event]:
        if self._stop_reason is not None:  # the reply is complete: a later error does not matter
            return self._finish(self._stop_reason)
        if self._has_tool_result and frame.get("subtype") == REQUEST_LIMIT_SUBTYPE:
            # The CLI itself answered a call of an unregistered tool, and ended the turn before it had read the whole
            # reply.
            return self._flush_block_end() + self._finish("tool_use")
        if frame.get("is_error") or frame.get("subtype") != "success":
            raise self._build_error(frame)
        raise WorkerError(ErrorKind.PROTOCOL_ERROR, "Claude Code ended the turn without a reply.")

    def _finish(self, stop_reason: StopReason) -> list[Event]:
        self.is_finished = True
        return [*self._replay_filter.finish(), Finished(stop_reason, self._usage, self._stop_sequence)]

    def _build_error(self, frame: Frame) -> WorkerError:
        status = frame.get("api_error_status")
        text = str(frame.get("result") or "")
        api_error = frame.get("api_error") or self._error_frame.get("api_error")
        if api_error in _LIMIT_REACHED_ERRORS:
            # The gateway adds the time of the reset, which another frame contains (`workers.parsing.limit_report`).
            return WorkerError(ErrorKind.LOGIN_LIMIT_REACHED, "This gateway's login has reached its usage limit.")
        if text.startswith("Prompt is too long"):
            kind = ErrorKind.CONTEXT_LENGTH_EXCEEDED
        elif self._error_type == "billing_error" and status != 400:
            # With status 400, the client gets the status and the text of the upstream.
            kind = ErrorKind.BILLING
        elif api_error in LOGIN_API_ERRORS:
            kind = ErrorKind.AUTHENTICATION
        elif isinstance(status, int):
            kind = _ERROR_KINDS_BY_STATUS.get(
                status, ErrorKind.INVALID_REQUEST if status < 500 else ErrorKind.UPSTREAM_ERROR
            )
        elif "Not logged in" in text or "Invalid API key" in text:
            kind = ErrorKind.AUTHENTICATION
        elif self._replay_filter.char_count:
            kind = ErrorKind.UPSTREAM_DISCONNECTED
        else:
            kind = _ERROR_KINDS_BY_TYPE.get(self._error_type, ErrorKind.UPSTREAM_ERROR)
        error = WorkerError(kind, _build_client_message(kind, status, text), detail=repr(text[:_MAX_QUOTE_CHARS]))
        parameters = self._error_frame.get("api_error_params")
        error.concerns_only_model = concerns_only_model(status, self._error_type, api_error, parameters, text)
        return error


def _find_plain_text(frame: Frame) -> str | None:
    """Return the text of a text delta that needs no repair; None for all other frames.

    Most frames are such deltas. These look-ups take a fraction of the time of patterns.
    """
    # Only the event `content_block_delta` has a delta of this type.
    if isinstance(event := frame.get("event"), dict) and isinstance(delta := event.get("delta"), dict):
        text = delta.get("text")
        if isinstance(text, str) and delta.get("type") == "text_delta" and text and text.isascii():
            return text
    return None


def is_visible(event: Event) -> bool:
    """Return whether the event contains output that the reader of a stream has seen."""
    return not isinstance(event, Started | StreamReset)


def _check_retry_wait(frame: Frame) -> None:
    """Raise the upstream's error if the client should not wait until the CLI repeats the request.

    The client never waits after a rate limit error. After any other error, it waits unless the CLI pauses for too long
    before it repeats the request.

    Raises:
        WorkerError: The status is 429 (RATE_LIMITED), or the pause is too long (the error kind for this status).
    """
    wait = parse_wait_seconds(frame.get("retry_delay_ms"))
    status = frame.get("error_status")
    if status == 429:
        raise WorkerError(ErrorKind.RATE_LIMITED, "The upstream's rate limit is reached.", retry_after=wait)
    if wait > _MAX_RETRY_WAIT_SECONDS:
        kind = _ERROR_KINDS_BY_STATUS.get(status or 0, ErrorKind.UPSTREAM_ERROR)
        error = WorkerError(kind, _build_client_message(kind, status, ""), retry_after=wait)
        error.concerns_only_model = concerns_only_model(status, str(frame.get("error")), None, None, "")
        raise error


def _parse_usage(value: object, previous: TokenUsage) -> TokenUsage:
    """Parse a `usage` object of the Messages API. Missing counts keep their previous values."""
    raw = value if isinstance(value, dict) else {}
    details = raw.get("output_tokens_details")
    return TokenUsage(
        input_tokens=parse_token_count(raw.get("input_tokens")) or previous.input_tokens,
        output_tokens=parse_token_count(raw.get("output_tokens")) or previous.output_tokens,
        cache_read_tokens=parse_token_count(raw.get("cache_read_input_tokens")) or previous.cache_read_tokens,
        cache_write_tokens=parse_token_count(raw.get("cache_creation_input_tokens")) or previous.cache_write_tokens,
        thinking_tokens=parse_token_count(details.get("thinking_tokens") if isinstance(details, dict) else None)
        or previous.thinking_tokens,
    )


def _build_client_message(kind: ErrorKind, status: int | None, text: str) -> str:
    """Return the error message for the client.

    The message quotes the CLI only if the upstream rejected the request itself. Other texts of the CLI mention its
    host, commands and settings.
    """
    match kind:
        case ErrorKind.INVALID_REQUEST:
            quote = text.removeprefix("API Error: ").removeprefix(f"{status} ")[:_MAX_QUOTE_CHARS]
            return "".join(c if c.isprintable() else " " for c in quote) or "The upstream rejected the request."
        case ErrorKind.CONTEXT_LENGTH_EXCEEDED:
            return ensure_too_long_text("")
        case ErrorKind.BILLING:
            return (
                "The upstream rejects this gateway's account because of its billing;"
                " the operator of this gateway must settle it."
            )
        case ErrorKind.AUTHENTICATION:
            return "The login of Claude Code failed; the operator of this gateway must renew it."
        case ErrorKind.MODEL_NOT_FOUND:
            return "The upstream does not know this model, or the login may not use it."
        case ErrorKind.UPSTREAM_DISCONNECTED:
            return "The upstream connection broke in the middle of the reply."
        case _:
            sentence = kind.value[0].upper() + kind.value[1:]
            return f"{sentence} ({status})." if status else f"{sentence}."
