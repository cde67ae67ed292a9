"""The items of an answer as they are built: what each is at any moment, and the events of its life. Pure."""

from collections.abc import Iterator
from typing import Any, Literal, Protocol

from claude_gateway.dialects.openai_responses.tools import Origin
from claude_gateway.prompt.raw_input import RawInput
from claude_gateway.prompt.thoughts import Sealer, seal
from workers.call_arguments import as_written, read_arguments
from workers.job import Block, RedactedThought, Text, Thought, ToolUse

# The type of a wire event and its fields, without those that say which item it is of.
Told = tuple[str, dict[str, Any]]
Status = Literal["in_progress", "completed", "incomplete"]


class OutputItem(Protocol):
    """`begin`, then `say` for each delta, then `end`."""

    prefix: str

    def begin(self) -> Iterator[Told]: ...
    def say(self, text: str) -> Iterator[Told]: ...
    def end(self) -> Iterator[Told]: ...
    def shown(self, status: Status) -> dict[str, Any]:
        """The item without its id."""
        ...

    def block(self) -> Block | None:
        """What the model takes back as its own; None for nothing."""
        ...


class Message:
    """A text of the answer: a message with one part."""

    prefix = "msg"

    def __init__(self) -> None:
        self._said: list[str] = []

    def begin(self) -> Iterator[Told]:
        yield "response.content_part.added", {"content_index": 0, "part": _output_text("")}

    def say(self, text: str) -> Iterator[Told]:
        self._said.append(text)
        yield "response.output_text.delta", {"content_index": 0, "delta": text, "logprobs": []}

    def end(self) -> Iterator[Told]:
        text = "".join(self._said)
        yield "response.output_text.done", {"content_index": 0, "text": text, "logprobs": []}
        yield "response.content_part.done", {"content_index": 0, "part": _output_text(text)}

    def shown(self, status: Status) -> dict[str, Any]:
        content = [] if status == "in_progress" else [_output_text("".join(self._said))]
        return {"type": "message", "role": "assistant", "status": status, "content": content}

    def block(self) -> Block | None:
        text = "".join(self._said)
        return Text(text) if text.strip() else None


class Reasoning:
    """A thought. Its text stands in the summary; with its signature it is `encrypted_content`, for those who ask."""

    prefix = "rs"

    def __init__(self, thought: Thought | RedactedThought, sealer: Sealer | None) -> None:
        self._redacted = thought if isinstance(thought, RedactedThought) else None
        self._sealer = sealer
        self._thinking: list[str] = []
        self._signature: list[str] = []

    def sign(self, signature: str) -> None:
        self._signature.append(signature)

    def begin(self) -> Iterator[Told]:
        yield from ()

    def say(self, text: str) -> Iterator[Told]:
        if not self._thinking:
            yield "response.reasoning_summary_part.added", {"summary_index": 0, "part": _summary("")}
        self._thinking.append(text)
        yield "response.reasoning_summary_text.delta", {"summary_index": 0, "delta": text}

    def end(self) -> Iterator[Told]:
        if self._thinking:
            text = "".join(self._thinking)
            yield "response.reasoning_summary_text.done", {"summary_index": 0, "text": text}
            yield "response.reasoning_summary_part.done", {"summary_index": 0, "part": _summary(text)}

    def shown(self, status: Status) -> dict[str, Any]:
        is_open = status == "in_progress"
        summary = [_summary("".join(self._thinking))] if self._thinking and not is_open else []
        item: dict[str, Any] = {"type": "reasoning", "summary": summary, "status": status}
        thought = None if is_open else self.block()
        if self._sealer is not None and thought is not None:
            item["encrypted_content"] = seal([thought], self._sealer)
        return item

    def block(self) -> Thought | RedactedThought | None:
        """One without its signature is not taken back."""
        if self._redacted is not None or not self._signature:
            return self._redacted
        return Thought("".join(self._thinking), "".join(self._signature))


class FunctionCall:
    """A call of a function; `name` is the function that Claude called, `origin` the tool that the caller knows."""

    prefix = "fc"

    def __init__(self, call_id: str, name: str, origin: Origin) -> None:
        self._call = ToolUse(call_id, name, {})
        self._origin = origin
        self._arguments: list[str] = []

    def begin(self) -> Iterator[Told]:
        yield from ()

    def say(self, text: str) -> Iterator[Told]:
        self._arguments.append(text)
        yield "response.function_call_arguments.delta", {"delta": text}

    def end(self) -> Iterator[Told]:
        if not "".join(self._arguments):
            yield from self.say("{}")  # Claude writes none for a call without arguments; an empty string is no JSON
        arguments = "".join(self._arguments)
        yield "response.function_call_arguments.done", {"name": self._origin.name, "arguments": arguments}

    def shown(self, status: Status) -> dict[str, Any]:
        arguments = "" if status == "in_progress" else "".join(self._arguments)
        return {"type": "function_call", "status": status, "arguments": arguments, **_called(self._call, self._origin)}

    def block(self) -> Block | None:
        return _whole_call(self._call, "".join(self._arguments))


class CustomCall:
    """A call of a custom tool, whose input is plain text."""

    prefix = "ctc"

    def __init__(self, call_id: str, name: str, origin: Origin) -> None:
        self._call = ToolUse(call_id, name, {})
        self._origin = origin
        self._written: list[str] = []
        self._raw = RawInput()

    def begin(self) -> Iterator[Told]:
        yield from ()

    def say(self, text: str) -> Iterator[Told]:
        self._written.append(text)
        yield from self._tell(self._raw.feed(text))

    def end(self) -> Iterator[Told]:
        yield from self._tell(self._raw.end())
        yield "response.custom_tool_call_input.done", {"input": self._raw.text}

    def shown(self, status: Status) -> dict[str, Any]:
        text = "" if status == "in_progress" else self._raw.text
        return {"type": "custom_tool_call", "status": status, "input": text, **_called(self._call, self._origin)}

    def block(self) -> Block | None:
        return _whole_call(self._call, "".join(self._written))

    def _tell(self, text: str) -> Iterator[Told]:
        if text:
            yield "response.custom_tool_call_input.delta", {"delta": text}


class SearchCall:
    """A search for more tools, which the caller runs himself. It has no events of its own."""

    prefix = "tsc"

    def __init__(self, call_id: str, name: str, _: Origin) -> None:
        self._call = ToolUse(call_id, name, {})
        self._arguments: list[str] = []

    def begin(self) -> Iterator[Told]:
        yield from ()

    def say(self, text: str) -> Iterator[Told]:
        self._arguments.append(text)
        yield from ()

    def end(self) -> Iterator[Told]:
        yield from ()

    def shown(self, status: Status) -> dict[str, Any]:
        whole = status != "in_progress" and self.block() is not None
        arguments = as_written("".join(self._arguments)) if whole else {}
        shown = {"type": "tool_search_call", "status": status, "execution": "client", "arguments": arguments}
        return shown | {"call_id": self._call.id}

    def block(self) -> ToolUse | None:
        return _whole_call(self._call, "".join(self._arguments))


def _called(call: ToolUse, origin: Origin) -> dict[str, Any]:
    namespace = {"namespace": origin.namespace} if origin.namespace else {}
    return {"call_id": call.id, "name": origin.name, **namespace}


def _whole_call(call: ToolUse, written: str) -> ToolUse | None:
    """None for one that was cut off in the middle of its arguments."""
    read = read_arguments(written or "{}")
    return ToolUse(call.id, call.name, read.value) if read else None


def _output_text(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _summary(text: str) -> dict[str, Any]:
    return {"type": "summary_text", "text": text}
