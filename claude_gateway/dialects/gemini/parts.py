"""Convert the events of a job to the parts of a Gemini response. No I/O."""

from collections.abc import Iterator
from typing import Any, assert_never

import orjson

from claude_gateway.dialects.common.content.signed_thinking import ThinkingSigner, sign_thinking
from workers.core.events import (
    BlockEnded,
    BlockEvent,
    BlockStarted,
    SignatureDelta,
    TextDelta,
    ThinkingDelta,
    ToolInputDelta,
)
from workers.core.job import RedactedThinkingBlock, ThinkingBlock, ToolUse
from workers.params.call_arguments import parse_arguments_for_client


class PartBuilder:
    """Builds the parts of a Gemini response from the events of a job.

    Each delta of text or thinking becomes a part. A function call becomes one part as soon as the call is complete. The
    builder writes the signed thinking into the field `thoughtSignature` of the next part, even if the response does not
    show the text of the thinking. Many clients send back only this field, and not the parts with the text.

    Args:
        signer: Signs the thinking.
        include_thoughts: Whether the parts show the text of the thinking.

    Attributes:
        has_broken_call: Whether the builder has omitted a function call that the token limit truncated.
    """

    def __init__(self, signer: ThinkingSigner, *, include_thoughts: bool) -> None:
        self._signer = signer
        self._include_thoughts = include_thoughts
        self._thinking_blocks: list[ThinkingBlock | RedactedThinkingBlock] = []
        self._thinking_text: list[str] = []
        self._signature = ""
        self._open_call: ToolUse | None = None
        self._call_input: list[str] = []
        self.has_broken_call = False

    def feed(self, event: BlockEvent) -> Iterator[dict[str, Any]]:
        """Process an event of the job, and yield the parts that are complete after this event."""
        match event:
            case TextDelta(text) if text:
                yield {"text": text, **self.pop_signature()}
            case ThinkingDelta(text) if text:
                self._thinking_text.append(text)
                if self._include_thoughts:
                    yield {"text": text, "thought": True}
            case SignatureDelta(signature):
                self._signature += signature
            case ToolInputDelta(text):
                self._call_input.append(text)
            case BlockStarted(ToolUse() as call):
                self._open_call = call
            case BlockStarted(RedactedThinkingBlock() as block):
                self._thinking_blocks.append(block)
            case BlockEnded():
                yield from self._end_block()
            case BlockStarted() | TextDelta() | ThinkingDelta():
                pass  # no part for the start of a text or of thinking, nor for an empty delta
            case _:
                assert_never(event)

    def pop_signature(self) -> dict[str, str]:
        """Return the field `thoughtSignature` for the thinking since the last signature, and forget this thinking.

        If there is no such thinking, the result is empty.
        """
        if not self._thinking_blocks:
            return {}
        signature = sign_thinking(self._thinking_blocks, self._signer)
        self._thinking_blocks.clear()
        return {"thoughtSignature": signature}

    def _end_block(self) -> Iterator[dict[str, Any]]:
        if self._open_call is not None:
            arguments = _parse_arguments("".join(self._call_input))
            if arguments is None:
                self.has_broken_call = True  # the token limit truncated the call; clients receive only complete calls
            else:
                call = {"id": self._open_call.id, "name": self._open_call.name, "args": arguments}
                yield {"functionCall": call, **self.pop_signature()}
        elif self._signature:
            self._thinking_blocks.append(ThinkingBlock("".join(self._thinking_text), self._signature))
        self._open_call, self._signature = None, ""
        self._thinking_text.clear()
        self._call_input.clear()


def _parse_arguments(text: str) -> Any:
    """Parse the arguments of a function call for the client. Return None if the text is not a JSON object."""
    try:
        value = parse_arguments_for_client(text)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict | orjson.Fragment) else None
