"""Encoders that convert the events of a job to a Messages response, as a stream or as one body. No I/O."""

from typing import Any, assert_never

from claude_gateway.core.errors import ApiError, stream_interrupted
from claude_gateway.core.json_text import encode_json
from claude_gateway.dialects.anthropic.builtin_tool_blocks import BuiltinToolBlocks
from claude_gateway.dialects.anthropic.errors import error_object
from workers.core.events import (
    BlockEnded,
    BlockStarted,
    Event,
    Finished,
    SignatureDelta,
    Started,
    StreamReset,
    TextDelta,
    ThinkingDelta,
    TokenUsage,
    ToolCallFinished,
    ToolCallStarted,
    ToolInputDelta,
)
from workers.core.job import RedactedThinkingBlock, Text, ThinkingBlock, ToolUse
from workers.params.call_arguments import parse_arguments_for_client

StreamMessage = tuple[str, str]
# A block of the reply, to which later events add text, or the complete JSON object of a block.
_ContentBlock = Text | ThinkingBlock | RedactedThinkingBlock | ToolUse | dict[str, Any]


class MessagesStreamEncoder:
    """Encodes the events of a job as server-sent events. Each server-sent event has a name and data."""

    def __init__(self, message_id: str, model: str) -> None:
        self._id = message_id
        self._model = model
        self._is_started = False
        self._block_index = 0
        self._is_block_open = False
        self._builtin_blocks = BuiltinToolBlocks()

    def feed(self, event: Event) -> list[StreamMessage]:
        """Return the server-sent events for one event of the job.

        Raises:
            ApiError: If the event is `StreamReset`. The reply starts again, but the client has already received output.
        """
        if isinstance(event, TextDelta):  # saves time, because most events are text deltas
            text = encode_json(event.text)
            start = f'{{"type":"content_block_delta","index":{self._block_index},"delta":{{"type":"text_delta","text":'
            return [("content_block_delta", f"{start}{text}}}}}")]
        messages = self._encode_event(event)
        for block in self._builtin_blocks.feed(event):
            messages += self._encode_complete_block(block)
        return messages

    def _encode_event(self, event: Event) -> list[StreamMessage]:
        match event:
            case Started():
                # Clients merge messages that have the same id, so each message keeps the id from the upstream.
                self._id = event.id or self._id
                return self._start(event.usage)
            case BlockStarted(block):
                self._is_block_open = True
                return [self._build_block_event("content_block_start", content_block=_empty_block_object(block))]
            case TextDelta(text):
                return [self._build_delta_event(type="text_delta", text=text)]
            case ThinkingDelta(text):
                return [self._build_delta_event(type="thinking_delta", thinking=text)]
            case ToolInputDelta(text):
                return [self._build_delta_event(type="input_json_delta", partial_json=text)]
            case SignatureDelta(signature):
                return [self._build_delta_event(type="signature_delta", signature=signature)]
            case BlockEnded():
                return self._close_block()
            case ToolCallStarted() | ToolCallFinished():
                return []
            case Finished():
                end = {"stop_reason": event.stop_reason, "stop_sequence": event.stop_sequence}
                return [
                    *self._start(event.usage),
                    *self._close_block(),
                    _encode_message(
                        "message_delta", delta=end, usage=usage_object(event.usage) | self._builtin_blocks.usage
                    ),
                    _encode_message("message_stop"),
                ]
            case StreamReset():
                raise stream_interrupted()
            case _:
                assert_never(event)

    def fail(self, error: ApiError) -> list[StreamMessage]:
        """Return the last server-sent events of a failed stream. They close an open block and report the error."""
        return [*self._close_block(), ("error", encode_json(error_object(error)))]

    def _start(self, usage: TokenUsage) -> list[StreamMessage]:
        if self._is_started:
            return []
        self._is_started = True
        message = _message_object(self._id, self._model, [], usage_object(usage))
        message |= {"stop_reason": None, "stop_sequence": None}
        return [_encode_message("message_start", message=message), _encode_message("ping")]

    def _encode_complete_block(self, block: dict[str, Any]) -> list[StreamMessage]:
        """Encode a complete block as server-sent events.

        Clients expect the input of a call as deltas, so the whole input becomes one delta.
        """
        self._is_block_open = True
        start, deltas = block, []
        if "input" in block:
            start = {**block, "input": {}}
            deltas = [self._build_delta_event(type="input_json_delta", partial_json=encode_json(block["input"]))]
        return [self._build_block_event("content_block_start", content_block=start), *deltas, *self._close_block()]

    def _close_block(self) -> list[StreamMessage]:
        if not self._is_block_open:
            return []
        stop = self._build_block_event("content_block_stop")
        self._is_block_open = False
        self._block_index += 1
        return [stop]

    def _build_delta_event(self, **delta: str) -> StreamMessage:
        return self._build_block_event("content_block_delta", delta=delta)

    def _build_block_event(self, kind: str, **fields: Any) -> StreamMessage:
        return _encode_message(kind, index=self._block_index, **fields)


class MessagesBodyBuilder:
    """Builds the body of a Messages response that is not streamed, from the events of a job."""

    def __init__(self, message_id: str, model: str) -> None:
        self._id = message_id
        self._model = model
        self._blocks: list[tuple[_ContentBlock, list[str], list[str]]] = []
        self._builtin_blocks = BuiltinToolBlocks()
        self._finished_event: Finished | None = None

    def feed(self, event: Event) -> None:
        """Add the next event of the job to the body."""
        match event:
            case Started():
                self._id = event.id or self._id
            case BlockStarted(block):
                self._blocks.append((block, [], []))
            case TextDelta(text) | ThinkingDelta(text) | ToolInputDelta(text):
                self._blocks[-1][1].append(text)
            case SignatureDelta(signature):
                self._blocks[-1][2].append(signature)
            case StreamReset():
                self._blocks.clear()
                self._builtin_blocks = BuiltinToolBlocks()
            case Finished():
                self._finished_event = event
            case BlockEnded():
                pass
            case ToolCallStarted() | ToolCallFinished():
                pass  # `BuiltinToolBlocks` makes blocks from these events
            case _:
                assert_never(event)
        self._blocks += [(block, [], []) for block in self._builtin_blocks.feed(event)]

    def body(self) -> dict[str, Any]:
        """Return the body of the response, which is one message of the assistant.

        Raises:
            ApiError: If the events ended without `Finished`.
        """
        if self._finished_event is None:
            raise stream_interrupted()
        content = [
            _block_object(block, "".join(texts), "".join(signatures)) for block, texts, signatures in self._blocks
        ]
        return {
            **_message_object(
                self._id, self._model, content, usage_object(self._finished_event.usage) | self._builtin_blocks.usage
            ),
            "stop_reason": self._finished_event.stop_reason,
            "stop_sequence": self._finished_event.stop_sequence,
        }


def usage_object(usage: TokenUsage) -> dict[str, Any]:
    """Convert the token counts of a reply to the `usage` object of a response."""
    details = {"output_tokens_details": {"thinking_tokens": usage.thinking_tokens}} if usage.thinking_tokens else {}
    return {
        "input_tokens": usage.input_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "output_tokens": usage.output_tokens,
        **details,
    }


def _message_object(id_: str, model: str, content: list[Any], usage: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": id_,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "usage": usage,
    }


def _empty_block_object(block: Text | ThinkingBlock | RedactedThinkingBlock | ToolUse) -> dict[str, Any]:
    match block:
        case ThinkingBlock():
            return {"type": "thinking", "thinking": "", "signature": ""}
        case _:
            return _block_object(block, "", "")


def _block_object(block: _ContentBlock, text: str, signature: str) -> dict[str, Any]:
    match block:
        case dict():
            return block
        case Text():
            return {"type": "text", "text": text}
        case ThinkingBlock():
            return {"type": "thinking", "thinking": text, "signature": signature}
        case RedactedThinkingBlock(data):
            return {"type": "redacted_thinking", "data": data}
        case ToolUse(id_, name):
            return {"type": "tool_use", "id": id_, "name": name, "input": parse_arguments_for_client(text)}


def _encode_message(kind: str, **fields: Any) -> StreamMessage:
    return kind, encode_json({"type": kind, **fields})
