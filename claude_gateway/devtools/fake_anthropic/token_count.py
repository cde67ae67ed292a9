"""Functions that estimate the number of prompt tokens in a request. Does no I/O.

The functions count only those parts of the request that the model reads according to the documentation of the API. They
count one token for four ASCII characters, or for 2.5 bytes of other text. The functions use no code of the gateway, so
that tests detect if the gateway counts the wrong parts of a request.
"""

import struct
from base64 import b64decode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from claude_gateway.devtools.fake_anthropic.exact_json import dumps

_TOOL_USE_TOKENS = 346
_MESSAGE_TOKENS = 4
_REQUEST_TOKENS = 3
_PDF_PAGE_TOKENS = 3_840
_MAX_IMAGE_TOKENS = 1_600

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class PromptBlock:
    """One block of a prompt. The blocks are the tools, the blocks of the system prompt and the blocks of the messages.

    Attributes:
        role: "tool" if the block is a tool, "system" if it belongs to the system prompt, otherwise the role of the
            message that contains the block.
        block: The JSON object of the tool or the content block.
        tokens: The estimated number of tokens in the block.
    """

    role: str
    block: Json
    tokens: float


def count_input_tokens(body: Json) -> int:
    """Return the estimated number of prompt tokens in a request to `/v1/messages` or `/v1/messages/count_tokens`."""
    return total_tokens(tuple(split_prompt(body)))


def total_tokens(prompt: Sequence[PromptBlock]) -> int:
    """Return the estimated number of tokens in a prompt, given all blocks of the prompt."""
    return ceil(_REQUEST_TOKENS + sum(block.tokens for block in prompt))


def split_prompt(body: Json) -> Iterator[PromptBlock]:
    """Yield the blocks of the prompt in a request, each with its number of tokens.

    The first tool also includes the fixed number of tokens for tool use. The first block of each message also includes
    the fixed number of tokens for a message.
    """
    fixed_tokens: float = _TOOL_USE_TOKENS
    for tool in body.get("tools") or ():
        visible_fields = {name: tool.get(name) for name in ("name", "description", "input_schema")}
        yield PromptBlock("tool", tool, fixed_tokens + _text_tokens(_encode_json(visible_fields)))
        fixed_tokens = 0
    system = body.get("system") or ()
    for block in [{"type": "text", "text": system}] if isinstance(system, str) else system:
        yield PromptBlock("system", block, _text_tokens(block["text"]))
    last_index = len(body["messages"]) - 1
    for index, message in enumerate(body["messages"]):
        fixed_tokens = _MESSAGE_TOKENS
        content = message["content"]
        for block in [{"type": "text", "text": content}] if isinstance(content, str) else content:
            yield PromptBlock(
                message["role"],
                block,
                fixed_tokens + sum(_visible_tokens([block], with_thinking=index >= last_index - 1)),
            )
            fixed_tokens = 0


def _visible_tokens(content: str | list[Json], *, with_thinking: bool = False) -> Iterator[float]:
    blocks: list[Json] = [{"type": "text", "text": content}] if isinstance(content, str) else content
    for block in blocks:
        match block["type"]:
            case "text":
                yield _text_tokens(block["text"])
            case "thinking" if with_thinking:
                yield _text_tokens(block["thinking"])
            case "tool_use":
                yield _text_tokens(block["name"]) + _text_tokens(_encode_json(block["input"]))
            case "tool_result":
                yield from _visible_tokens(block.get("content") or "")
            case "image":
                yield _image_tokens(block["source"])
            case "document" if block["source"]["type"] == "base64":
                yield _PDF_PAGE_TOKENS * max(1, b64decode(block["source"]["data"]).count(b"/Type /Page\n"))
            case "document":
                yield _text_tokens(block["source"].get("data") or _encode_json(block["source"]))


def _text_tokens(text: str) -> float:
    ascii_characters = len(text.encode("ascii", errors="ignore"))
    return ascii_characters / 4 + (len(text.encode()) - ascii_characters) * 2 / 5


def _encode_json(value: Any) -> str:
    return dumps(value).decode()


def _image_tokens(source: Json) -> float:
    """Return the estimated number of tokens for an image.

    For a PNG image, the number depends on the width and height. For other images, the function returns the maximum.
    """
    raw = b64decode(source.get("data") or "")
    if raw[1:4] != b"PNG":
        return _MAX_IMAGE_TOKENS
    width, height = struct.unpack(">II", raw[16:24])
    scale = min(1, 1_568 / width, 1_568 / height) ** 2
    return float(min(_MAX_IMAGE_TOKENS, width * height * scale / 750))
