"""Encode the events of a job as a Gemini response, which is a stream of chunks or one body. No I/O."""

from typing import Any, assert_never

from claude_gateway.core.errors import ApiError, stream_interrupted
from claude_gateway.core.json_text import encode_json
from claude_gateway.dialects.common.content.signed_thinking import ThinkingSigner
from claude_gateway.dialects.gemini.errors import error_object
from claude_gateway.dialects.gemini.parts import PartBuilder
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

# The event name and the data of a server-sent event. A chunk has no event name, and its data is one line of JSON.
StreamMessage = tuple[None, str]
_FINISH_REASONS = {
    "end_turn": "STOP",
    "stop_sequence": "STOP",
    "tool_use": "STOP",
    "max_tokens": "MAX_TOKENS",
    "model_context_window_exceeded": "MAX_TOKENS",
    "pause_turn": "MAX_TOKENS",
    "refusal": "SAFETY",
}
Json = dict[str, Any]


class GeminiStreamEncoder:
    """Encodes the events of a job as the chunks of a streamed response.

    Args:
        response_id: The response id, which every chunk contains.
        model: The model name, which every chunk contains.
        signer: Signs the thinking, so that clients can send it back.
        include_thoughts: Whether the stream shows the text of the thinking.
    """

    def __init__(self, response_id: str, model: str, signer: ThinkingSigner, *, include_thoughts: bool) -> None:
        self._identity = {"modelVersion": model, "responseId": response_id}
        self._part_builder = PartBuilder(signer, include_thoughts=include_thoughts)

    def feed(self, event: Event) -> list[StreamMessage]:
        """Return the chunks for one event of the job.

        Raises:
            ApiError: If the event is `StreamReset`. The reply starts again, but the client has already received chunks.
        """
        match event:
            case StreamReset():
                raise stream_interrupted()
            case Finished():
                # Google's chat clients drop a turn whose content has no parts, so the last chunk has an empty part.
                last = candidate_object(
                    [{"text": "", **self._part_builder.pop_signature()}], _get_finish_reason(event, self._part_builder)
                )
                return [self._encode_chunk(last, usageMetadata=usage_object(event.usage))]
            case BlockStarted() | BlockEnded() | TextDelta() | ThinkingDelta() | ToolInputDelta() | SignatureDelta():
                return [self._encode_chunk(candidate_object([part])) for part in self._part_builder.feed(event)]
            case Started():
                pass  # every chunk names the response and its model
            case ToolCallStarted() | ToolCallFinished():
                pass  # this dialect does not show the calls of built-in tools
            case _:
                assert_never(event)
        return []

    def fail(self, error: ApiError) -> list[StreamMessage]:
        """Return the last chunk of a failed stream. It contains the error, and no finish reason."""
        return [(None, encode_json(error_object(error)))]

    def _encode_chunk(self, candidate: Json, **fields: Any) -> StreamMessage:
        return None, encode_json({"candidates": [candidate], **fields, **self._identity})


class GeminiBodyBuilder:
    """Builds the body of a response that is not streamed, from the events of a job.

    Args:
        response_id: The id of the response.
        model: The model name in the response.
        signer: Signs the thinking, so that clients can send it back.
        include_thoughts: Whether the response shows the text of the thinking.
    """

    def __init__(self, response_id: str, model: str, signer: ThinkingSigner, *, include_thoughts: bool) -> None:
        self._identity = {"modelVersion": model, "responseId": response_id}
        self._signer = signer
        self._include_thoughts = include_thoughts
        self._reset()

    def _reset(self) -> None:
        self._part_builder = PartBuilder(self._signer, include_thoughts=self._include_thoughts)
        self._merged_parts: list[Json] = []
        self._text_fragments: list[list[str]] = []
        self._finished_event: Finished | None = None

    def feed(self, event: Event) -> None:
        """Add the next event of the job to the body."""
        match event:
            case StreamReset():
                self._reset()
            case Finished():
                self._finished_event = event
                if (signature := self._part_builder.pop_signature()) or not self._merged_parts:
                    self._add_part({"text": "", **signature})
            case BlockStarted() | BlockEnded() | TextDelta() | ThinkingDelta() | ToolInputDelta() | SignatureDelta():
                for part in self._part_builder.feed(event):
                    self._add_part(part)
            case Started():
                pass  # the body already names the response and its model
            case ToolCallStarted() | ToolCallFinished():
                pass  # this dialect does not show the calls of built-in tools
            case _:
                assert_never(event)

    def _add_part(self, part: Json) -> None:
        """Add a part to the body, or append its text to the last part if both parts have text of the same kind.

        The kind of a text is reply or thinking. A part that has a signature always becomes a new part.
        """
        last = self._merged_parts[-1] if self._merged_parts else {}
        has_only_text = part.keys() <= {"text", "thought"}
        if has_only_text and "text" in last and part.get("thought") == last.get("thought"):
            self._text_fragments[-1].append(part["text"])
        else:
            self._merged_parts.append(part)
            self._text_fragments.append([part["text"]] if "text" in part else [])

    def body(self) -> Json:
        """Return the body of the response. Call this method after the last event of the job.

        Raises:
            ApiError: If the events ended without `Finished`.
        """
        if self._finished_event is None:
            raise stream_interrupted()
        parts = [
            {**part, "text": "".join(fragments)} if fragments else part
            for part, fragments in zip(self._merged_parts, self._text_fragments, strict=True)
        ]
        return {
            "candidates": [candidate_object(parts, _get_finish_reason(self._finished_event, self._part_builder))],
            "usageMetadata": usage_object(self._finished_event.usage),
            **self._identity,
        }


def candidate_object(parts: list[Json], finish_reason: str | None = None) -> Json:
    """Return the JSON object of a candidate, which is one reply. Each response and each chunk has one candidate."""
    reason = {"finishReason": finish_reason} if finish_reason else {}
    return {"content": {"parts": parts, "role": "model"}, **reason, "index": 0}


def usage_object(usage: TokenUsage) -> Json:
    """Convert the token counts of a reply to the `usageMetadata` object of a response.

    `usage` has the counts of the Messages API. In the Messages API, the count of input tokens excludes cached tokens,
    and the count of output tokens includes thinking tokens. In Gemini's API, the count of prompt tokens includes cached
    tokens, and the count of output tokens excludes thinking tokens.
    """
    prompt = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
    cached = {"cachedContentTokenCount": usage.cache_read_tokens} if usage.cache_read_tokens else {}
    thinking = {"thoughtsTokenCount": usage.thinking_tokens} if usage.thinking_tokens else {}
    return {
        "promptTokenCount": prompt,
        "candidatesTokenCount": usage.output_tokens - usage.thinking_tokens,
        "totalTokenCount": prompt + usage.output_tokens,
        **cached,
        **thinking,
    }


def _get_finish_reason(event: Finished, part_builder: PartBuilder) -> str:
    reason = _FINISH_REASONS.get(event.stop_reason, "OTHER")
    return "MALFORMED_FUNCTION_CALL" if reason == "STOP" and part_builder.has_broken_call else reason


# While a job produces no output, the gateway sends this empty chunk to keep the connection open. All tested Google
# clients accept an empty chunk. The gateway does not send a comment, as servers usually do for this purpose, because
# Google clients end the stream when they receive a comment.
KEEP_ALIVE_DATA = encode_json({"candidates": [candidate_object([{"text": ""}])]})
