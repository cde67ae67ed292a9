"""Encode the events of a job as a chat completion, which is a stream of chunks or one body. No I/O."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, assert_never

from claude_gateway.core.errors import ApiError, stream_interrupted
from claude_gateway.core.json_text import encode_json
from claude_gateway.dialects.common.tools.custom_tool_events import CustomToolEventDecoder
from claude_gateway.dialects.openai_chat.custom_tools import CallFormat, CustomTools
from claude_gateway.dialects.openai_chat.errors import error_object
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
from workers.core.job import ToolUse

DONE = "[DONE]"
NO_CUSTOM_TOOLS: CustomTools = MappingProxyType({})
# The event name and the data of a server-sent event. A chunk has no event name, and its data is one line of JSON.
StreamMessage = tuple[None, str]
_FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "pause_turn": "length",
    "refusal": "content_filter",
}


@dataclass(frozen=True, slots=True)
class CompletionIdentity:
    """The fields that identify a completion. Every chunk of a stream contains them.

    Attributes:
        id: The id of the completion.
        created_at: The time of the request, in Unix seconds.
        model: The model name.
    """

    id: str
    created_at: int
    model: str


class ChatStreamEncoder:
    """Encodes the events of a job as the server-sent events of a streamed completion.

    Args:
        identity: The fields that every chunk contains.
        include_usage: Whether the last chunk of the stream contains the usage.
        legacy: Whether calls use the older field `function_call`.
        custom_tools: The custom tools of the request.
        index: The index of the choice to which the events belong.
    """

    def __init__(
        self,
        identity: CompletionIdentity,
        *,
        include_usage: bool,
        legacy: bool = False,
        custom_tools: CustomTools = NO_CUSTOM_TOOLS,
        index: int = 0,
    ) -> None:
        self._chunk_fields = {
            "id": identity.id,
            "object": "chat.completion.chunk",
            "created": identity.created_at,
            "model": identity.model,
        }
        self._include_usage = include_usage
        self._legacy = legacy
        self._custom_tools = custom_tools
        self._custom_tool_decoder = CustomToolEventDecoder(custom_tools)
        # The format of the open call if it is a call of a custom tool.
        self._call_format: CallFormat | None = None
        self._choice_index = index
        self._is_started = False
        self._call_count = 0
        self._needs_arguments = False
        # The chunk of a text delta before and after the text. No string in JSON contains a quote without a backslash.
        start, mark, end = self._encode_choice({"content": ""})[1].partition('"delta":{"content":')
        self._text_chunk_start, self._text_chunk_end = start + mark, end.removeprefix('""')

    def feed(self, event: Event) -> list[StreamMessage]:
        """Return the server-sent events for one event of the job.

        Raises:
            ApiError: If the event is `StreamReset`. The reply starts again, but the client has already received chunks.
        """
        if isinstance(event, TextDelta) and self._is_started:
            return self._encode_text(event.text)
        messages = self.feed_choice(event)
        return [*messages, *self.end(event.usage)] if isinstance(event, Finished) else messages

    def feed_choice(self, event: Event) -> list[StreamMessage]:
        """Return the server-sent events for one event of a choice, without the events that end the whole stream.

        Raises:
            ApiError: If the event is `StreamReset`. The reply starts again, but the client has already received chunks.
        """
        if not self._custom_tools:  # saves time in most requests, because a stream has thousands of events
            return self._encode_event(event)
        return [message for decoded in self._custom_tool_decoder.feed(event) for message in self._encode_event(decoded)]

    def _encode_event(self, event: Event) -> list[StreamMessage]:
        match event:
            case TextDelta(text):
                return [*self._encode_opening(), *self._encode_text(text)]
            case ThinkingDelta(text):
                return self._encode_delta({"reasoning_content": text})
            case BlockStarted(ToolUse(id_, name)):
                self._call_count += 1
                self._call_format = self._custom_tools.get(name)
                # The input of a custom tool may be an empty text, but the arguments of a function must be an object.
                self._needs_arguments = self._call_format is None
                if self._call_format == "custom":
                    return self._encode_tool_call({"id": id_, "type": "custom", "custom": {"name": name, "input": ""}})
                function = {"name": name, "arguments": ""}
                return self._encode_tool_call({"id": id_, "type": "function", "function": function})
            case ToolInputDelta(text):
                self._needs_arguments = False
                if self._call_format == "custom":
                    return self._encode_tool_call({"custom": {"input": text}})
                return self._encode_tool_call({"function": {"arguments": text}})
            case BlockEnded() if self._needs_arguments:
                # Claude streams no arguments for a call without arguments, but an empty string is not valid JSON.
                self._needs_arguments = False
                return self._encode_tool_call({"function": {"arguments": "{}"}})
            case Finished():
                return [
                    *self._encode_opening(),
                    self._encode_choice({}, _get_finish_reason(event, legacy=self._legacy)),
                ]
            case StreamReset():
                raise stream_interrupted()
            case Started() | BlockStarted() | BlockEnded() | SignatureDelta():
                pass  # a chunk has no field for these events
            case ToolCallStarted() | ToolCallFinished():
                pass  # this dialect shows the calls of built-in tools as thinking at most
            case _:
                assert_never(event)
        return []

    def end(self, usage: TokenUsage) -> list[StreamMessage]:
        """Return the server-sent events that end the stream after all choices have finished."""
        if not self._include_usage:
            return [(None, DONE)]
        return [(None, encode_json({**self._chunk_fields, "choices": [], "usage": usage_object(usage)})), (None, DONE)]

    def _encode_tool_call(self, fragment: dict[str, Any]) -> list[StreamMessage]:
        if self._legacy:
            return self._encode_delta({"function_call": fragment["function"]}) if self._call_count == 1 else []
        return self._encode_delta({"tool_calls": [{"index": self._call_count - 1, **fragment}]})

    def _encode_delta(self, delta: dict[str, Any]) -> list[StreamMessage]:
        return [*self._encode_opening(), self._encode_choice(delta)]

    def _encode_opening(self) -> list[StreamMessage]:
        """Return the first chunk of a choice, or nothing if the choice has already started.

        This chunk contains the role, because the stream helpers of the openai libraries fail without a role.
        """
        if self._is_started:
            return []
        self._is_started = True
        return [self._encode_choice({"role": "assistant", "content": ""})]

    def fail(self, error: ApiError) -> list[StreamMessage]:
        """Return the last server-sent event of a failed stream, which contains the error. No `[DONE]` event follows."""
        return [(None, encode_json(error_object(error)))]

    def _encode_text(self, text: str) -> list[StreamMessage]:
        """Return the chunk of a text delta. Most chunks contain one, so only the text itself is encoded again."""
        return [(None, f"{self._text_chunk_start}{encode_json(text)}{self._text_chunk_end}")]

    def _encode_choice(self, delta: dict[str, Any], finish_reason: str | None = None) -> StreamMessage:
        choice = {"index": self._choice_index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        chunk: dict[str, Any] = {**self._chunk_fields, "choices": [choice]}
        if self._include_usage:
            chunk["usage"] = None
        return None, encode_json(chunk)


class ChatBodyBuilder:
    """Builds the body of a completion that is not streamed, from the events of a job.

    Args:
        identity: The fields that identify the completion.
        legacy: Whether calls use the older field `function_call`.
        custom_tools: The custom tools of the request.
    """

    def __init__(
        self, identity: CompletionIdentity, *, legacy: bool = False, custom_tools: CustomTools = NO_CUSTOM_TOOLS
    ) -> None:
        self._identity = identity
        self._legacy = legacy
        self._custom_tools = custom_tools
        self._reset()

    def _reset(self) -> None:
        self._text: list[str] = []
        self._thinking: list[str] = []
        self._calls: list[tuple[ToolUse, list[str]]] = []
        self._finished_event: Finished | None = None
        self._custom_tool_decoder = CustomToolEventDecoder(self._custom_tools)

    def feed(self, event: Event) -> None:
        """Add the next event of the job to the body."""
        if not self._custom_tools:
            self._add_event(event)
            return
        for decoded in self._custom_tool_decoder.feed(event):
            self._add_event(decoded)

    def _add_event(self, event: Event) -> None:
        match event:
            case TextDelta(text):
                self._text.append(text)
            case ThinkingDelta(text):
                self._thinking.append(text)
            case BlockStarted(ToolUse() as call):
                self._calls.append((call, []))
            case ToolInputDelta(text):
                self._calls[-1][1].append(text)
            case StreamReset():
                self._reset()
            case Finished():
                self._finished_event = event
            case Started() | BlockStarted() | BlockEnded() | SignatureDelta():
                pass  # a message has no field for these events
            case ToolCallStarted() | ToolCallFinished():
                pass  # this dialect shows the calls of built-in tools as thinking at most
            case _:
                assert_never(event)

    @property
    def usage(self) -> TokenUsage:
        """The token usage of the reply.

        Raises:
            ApiError: If the events ended without `Finished`.
        """
        return self._require_finished().usage

    def body(self) -> dict[str, Any]:
        """Return the completion object, with the reply as its only choice.

        Raises:
            ApiError: If the events ended without `Finished`.
        """
        return completion_object(self._identity, [self.choice_object(0)], self.usage)

    def choice_object(self, index: int) -> dict[str, Any]:
        """Return the reply as the JSON object of the choice with this index.

        Raises:
            ApiError: If the events ended without `Finished`.
        """
        finish_reason = _get_finish_reason(self._require_finished(), legacy=self._legacy)
        text = "".join(self._text)
        message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
        if self._thinking:
            message["reasoning_content"] = "".join(self._thinking)
        if self._calls:
            message["content"] = text or None
            message["tool_calls"] = [
                self._tool_call_object(call, "".join(arguments)) for call, arguments in self._calls
            ]
            if self._legacy:
                message["function_call"] = message.pop("tool_calls")[0]["function"]
        return {"index": index, "message": message, "logprobs": None, "finish_reason": finish_reason}

    def _tool_call_object(self, call: ToolUse, arguments: str) -> dict[str, Any]:
        call_format = self._custom_tools.get(call.name)
        if call_format == "custom":
            return {"id": call.id, "type": "custom", "custom": {"name": call.name, "input": arguments}}
        arguments = arguments or ("{}" if call_format is None else "")
        return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}

    def _require_finished(self) -> Finished:
        if self._finished_event is None:
            raise stream_interrupted()
        return self._finished_event


def completion_object(identity: CompletionIdentity, choices: list[dict[str, Any]], usage: TokenUsage) -> dict[str, Any]:
    """Return the JSON object of a completion that is not streamed."""
    return {
        "id": identity.id,
        "object": "chat.completion",
        "created": identity.created_at,
        "model": identity.model,
        "choices": choices,
        "usage": usage_object(usage),
    }


def _get_finish_reason(event: Finished, *, legacy: bool) -> str:
    if legacy and event.stop_reason == "tool_use":
        return "function_call"
    return _FINISH_REASONS.get(event.stop_reason, "stop")


def usage_object(usage: TokenUsage) -> dict[str, Any]:
    """Convert the token counts of a reply to the `usage` object of a response.

    OpenAI counts cached tokens as a part of the prompt. The Messages API counts cached tokens separately.
    """
    prompt = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
    details = (
        {"completion_tokens_details": {"reasoning_tokens": usage.thinking_tokens}} if usage.thinking_tokens else {}
    )
    return {
        "prompt_tokens": prompt,
        "completion_tokens": usage.output_tokens,
        "total_tokens": prompt + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read_tokens},
        **details,
    }
