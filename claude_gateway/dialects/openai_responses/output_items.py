"""Builders for the output items of a response, and for the response events that report their progress. No I/O."""

from collections.abc import Iterator
from typing import Any, Literal, Protocol

from claude_gateway.dialects.common.content.signed_thinking import ThinkingSigner, sign_thinking
from claude_gateway.dialects.common.tools.custom_input_decoder import CustomInputDecoder
from claude_gateway.dialects.openai_responses.tools import ClientTool
from workers.core.job import Block, RedactedThinkingBlock, Text, ThinkingBlock, ToolUse
from workers.params.call_arguments import parse_arguments, parse_arguments_for_client

# The type and the fields of a response event, without the fields that identify its item.
PartialEvent = tuple[str, dict[str, Any]]
OutputItemStatus = Literal["in_progress", "completed", "incomplete"]


class OutputItemBuilder(Protocol):
    """Builder of one output item. Call `start` first, then `add_delta` for each piece of text, and `end` last.

    Attributes:
        id_prefix: The prefix of the item id, which depends on the type of the item.
    """

    id_prefix: str

    def start(self) -> Iterator[PartialEvent]:
        """Yield the response events that begin the item."""
        ...

    def add_delta(self, text: str) -> Iterator[PartialEvent]:
        """Add a piece of text to the content of the item, and yield the response events for this piece."""
        ...

    def end(self) -> Iterator[PartialEvent]:
        """Yield the response events that end the item."""
        ...

    def to_json(self, status: OutputItemStatus) -> dict[str, Any]:
        """Return the JSON object of the item, without the item id."""
        ...

    def to_block(self) -> Block | None:
        """Return the item as a block of a stored turn, or None if the upstream would reject the block.

        The gateway sends the stored turn to the upstream again when a later request continues the conversation.
        """
        ...


class MessageItemBuilder:
    """Builds a message item that contains one text."""

    id_prefix = "msg"

    def __init__(self) -> None:
        self._texts: list[str] = []

    def start(self) -> Iterator[PartialEvent]:
        """Yield the response events that begin the item."""
        yield "response.content_part.added", {"content_index": 0, "part": _build_text_part("")}

    def add_delta(self, text: str) -> Iterator[PartialEvent]:
        """Add a piece of text to the message, and yield the response events for this piece."""
        self._texts.append(text)
        yield "response.output_text.delta", {"content_index": 0, "delta": text, "logprobs": []}

    def end(self) -> Iterator[PartialEvent]:
        """Yield the response events that end the item."""
        text = "".join(self._texts)
        yield "response.output_text.done", {"content_index": 0, "text": text, "logprobs": []}
        yield "response.content_part.done", {"content_index": 0, "part": _build_text_part(text)}

    def to_json(self, status: OutputItemStatus) -> dict[str, Any]:
        """Return the JSON object of the item, without the item id."""
        content = [] if status == "in_progress" else [_build_text_part("".join(self._texts))]
        return {"type": "message", "role": "assistant", "status": status, "content": content}

    def to_block(self) -> Block | None:
        """Return the message as a block of a stored turn, or None if the text is blank."""
        text = "".join(self._texts)
        return Text(text) if text.strip() else None


class ReasoningItemBuilder:
    """Builds a reasoning item, which contains the text of the thinking as its summary.

    Args:
        block: The thinking block that the model has started.
        signer: Signs the thinking for the field `encrypted_content`; None if the client did not request this field.
    """

    id_prefix = "rs"

    def __init__(self, block: ThinkingBlock | RedactedThinkingBlock, signer: ThinkingSigner | None) -> None:
        self._redacted = block if isinstance(block, RedactedThinkingBlock) else None
        self._signer = signer
        self._thinking_text: list[str] = []
        self._signature: list[str] = []

    def add_signature(self, signature: str) -> None:
        """Add a piece of the signature with which the upstream has signed the thinking."""
        self._signature.append(signature)

    def start(self) -> Iterator[PartialEvent]:
        """Yield the response events that begin the item; a reasoning item has no such events."""
        yield from ()

    def add_delta(self, text: str) -> Iterator[PartialEvent]:
        """Add a piece of text to the summary, and yield the response events for this piece."""
        if not self._thinking_text:
            yield "response.reasoning_summary_part.added", {"summary_index": 0, "part": _build_summary_part("")}
        self._thinking_text.append(text)
        yield "response.reasoning_summary_text.delta", {"summary_index": 0, "delta": text}

    def end(self) -> Iterator[PartialEvent]:
        """Yield the response events that end the item."""
        if self._thinking_text:
            text = "".join(self._thinking_text)
            yield "response.reasoning_summary_text.done", {"summary_index": 0, "text": text}
            yield "response.reasoning_summary_part.done", {"summary_index": 0, "part": _build_summary_part(text)}

    def to_json(self, status: OutputItemStatus) -> dict[str, Any]:
        """Return the JSON object of the item, without the item id."""
        is_open = status == "in_progress"
        summary = [_build_summary_part("".join(self._thinking_text))] if self._thinking_text and not is_open else []
        item: dict[str, Any] = {"type": "reasoning", "summary": summary, "status": status}
        block = None if is_open else self.to_block()
        if self._signer is not None and block is not None:
            item["encrypted_content"] = sign_thinking([block], self._signer)
        return item

    def to_block(self) -> ThinkingBlock | RedactedThinkingBlock | None:
        """Return the thinking as a block of a stored turn, or None if the thinking has no signature.

        The upstream rejects thinking without a signature.
        """
        if self._redacted is not None or not self._signature:
            return self._redacted
        return ThinkingBlock("".join(self._thinking_text), "".join(self._signature))


class FunctionCallItemBuilder:
    """Builds an item for a function call.

    Args:
        call_id: The id of the call.
        name: The name under which Claude called the function.
        client_tool: The client's definition of this function. In this definition, the function may have another name.
    """

    id_prefix = "fc"

    def __init__(self, call_id: str, name: str, client_tool: ClientTool) -> None:
        self._call = ToolUse(call_id, name, {})
        self._client_tool = client_tool
        self._arguments: list[str] = []

    def start(self) -> Iterator[PartialEvent]:
        """Yield the response events that begin the item; a function call has no such events."""
        yield from ()

    def add_delta(self, text: str) -> Iterator[PartialEvent]:
        """Add a piece of text to the arguments, and yield the response events for this piece."""
        self._arguments.append(text)
        yield "response.function_call_arguments.delta", {"delta": text}

    def end(self) -> Iterator[PartialEvent]:
        """Yield the response events that end the item."""
        if not "".join(self._arguments):
            # Claude streams no arguments for a call without arguments, but an empty string is not valid JSON.
            yield from self.add_delta("{}")
        arguments = "".join(self._arguments)
        yield "response.function_call_arguments.done", {"name": self._client_tool.name, "arguments": arguments}

    def to_json(self, status: OutputItemStatus) -> dict[str, Any]:
        """Return the JSON object of the item, without the item id."""
        arguments = "" if status == "in_progress" else "".join(self._arguments)
        return {
            "type": "function_call",
            "status": status,
            "arguments": arguments,
            **_build_call_fields(self._call, self._client_tool),
        }

    def to_block(self) -> Block | None:
        """Return the call as a block of a stored turn, or None if its arguments are truncated."""
        return _complete_call(self._call, "".join(self._arguments))


class CustomToolCallItemBuilder:
    """Builds an item for a custom tool call, whose input is plain text."""

    id_prefix = "ctc"

    def __init__(self, call_id: str, name: str, client_tool: ClientTool) -> None:
        self._call = ToolUse(call_id, name, {})
        self._client_tool = client_tool
        self._arguments: list[str] = []
        self._input_decoder = CustomInputDecoder()

    def start(self) -> Iterator[PartialEvent]:
        """Yield the response events that begin the item; a custom tool call has no such events."""
        yield from ()

    def add_delta(self, text: str) -> Iterator[PartialEvent]:
        """Add a piece of the JSON input, and yield the response events for the plain text that this piece completes."""
        self._arguments.append(text)
        yield from self._build_delta_events(self._input_decoder.feed(text))

    def end(self) -> Iterator[PartialEvent]:
        """Yield the response events that end the item."""
        yield from self._build_delta_events(self._input_decoder.end())
        yield "response.custom_tool_call_input.done", {"input": self._input_decoder.text}

    def to_json(self, status: OutputItemStatus) -> dict[str, Any]:
        """Return the JSON object of the item, without the item id."""
        text = "" if status == "in_progress" else self._input_decoder.text
        return {
            "type": "custom_tool_call",
            "status": status,
            "input": text,
            **_build_call_fields(self._call, self._client_tool),
        }

    def to_block(self) -> Block | None:
        """Return the call as a block of a stored turn, or None if its input is truncated."""
        return _complete_call(self._call, "".join(self._arguments))

    def _build_delta_events(self, text: str) -> Iterator[PartialEvent]:
        if text:
            yield "response.custom_tool_call_input.delta", {"delta": text}


class ToolSearchCallItemBuilder:
    """Builds an item for a tool search call, if the client runs the search. The API defines no events for its input."""

    id_prefix = "tsc"

    def __init__(self, call_id: str, name: str, _: ClientTool) -> None:
        self._call = ToolUse(call_id, name, {})
        self._arguments: list[str] = []

    def start(self) -> Iterator[PartialEvent]:
        """Yield the response events that begin the item; a tool search call has no such events."""
        yield from ()

    def add_delta(self, text: str) -> Iterator[PartialEvent]:
        """Add a piece of text to the arguments of the search. The API has no response events for such a piece."""
        self._arguments.append(text)
        yield from ()

    def end(self) -> Iterator[PartialEvent]:
        """Yield the response events that end the item; a tool search call has no such events."""
        yield from ()

    def to_json(self, status: OutputItemStatus) -> dict[str, Any]:
        """Return the JSON object of the item, without the item id."""
        is_complete = status != "in_progress" and self.to_block() is not None
        arguments = parse_arguments_for_client("".join(self._arguments)) if is_complete else {}
        item = {"type": "tool_search_call", "status": status, "execution": "client", "arguments": arguments}
        return item | {"call_id": self._call.id}

    def to_block(self) -> ToolUse | None:
        """Return the call as a block of a stored turn, or None if its arguments are truncated."""
        return _complete_call(self._call, "".join(self._arguments))


def _build_call_fields(call: ToolUse, client_tool: ClientTool) -> dict[str, Any]:
    namespace = {"namespace": client_tool.namespace} if client_tool.namespace else {}
    return {"call_id": call.id, "name": client_tool.name, **namespace}


def _complete_call(call: ToolUse, arguments: str) -> ToolUse | None:
    """Return the call with its parsed arguments, or None if the arguments are truncated."""
    parsed = parse_arguments(arguments or "{}")
    return ToolUse(call.id, call.name, parsed.value) if parsed else None


def _build_text_part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _build_summary_part(text: str) -> dict[str, Any]:
    return {"type": "summary_text", "text": text}
