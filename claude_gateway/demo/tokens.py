"""How many tokens the stand-in takes a request for: by what the model would see of it, as the API documents it. Pure.

The scale is a simple one (a token is four characters of ASCII or two and a half bytes of other text), but the request
is read here once more from the start, so that a gateway that counts the wrong things is seen to.
"""

import struct
from base64 import b64decode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from claude_gateway.demo.exact_json import dumps

_TOOL_PROMPT = 346
_A_MESSAGE = 4
_A_REQUEST = 3
# Whatever else a block or a tool holds, the model sees of it only these.
_A_PAGE = 3_840
_LARGEST_IMAGE = 1_600

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Piece:
    """A block of the prompt, in the order in which the model reads: the tools, the system prompt, the messages.

    `role` is "tool", "system" or that of a message.
    """

    role: str
    block: Json
    tokens: float


def count(body: Json) -> int:
    """`input_tokens` of a request to `/v1/messages` or `/v1/messages/count_tokens`."""
    return tokens_of(tuple(pieces(body)))


def tokens_of(prompt: Sequence[Piece]) -> int:
    return ceil(_A_REQUEST + sum(piece.tokens for piece in prompt))


def pieces(body: Json) -> Iterator[Piece]:
    """The prompt block by block; what the tools and a message cost besides falls on the first block of each."""
    extra: float = _TOOL_PROMPT
    for tool in body.get("tools") or ():
        seen = {name: tool.get(name) for name in ("name", "description", "input_schema")}
        yield Piece("tool", tool, extra + _length(_json(seen)))
        extra = 0
    system = body.get("system") or ()
    for block in [{"type": "text", "text": system}] if isinstance(system, str) else system:
        yield Piece("system", block, _length(block["text"]))
    last = len(body["messages"]) - 1
    for number, message in enumerate(body["messages"]):
        extra = _A_MESSAGE
        content = message["content"]
        for block in [{"type": "text", "text": content}] if isinstance(content, str) else content:
            yield Piece(message["role"], block, extra + sum(_seen([block], with_thoughts=number >= last - 1)))
            extra = 0


def _seen(content: str | list[Json], *, with_thoughts: bool = False) -> Iterator[float]:
    blocks: list[Json] = [{"type": "text", "text": content}] if isinstance(content, str) else content
    for block in blocks:
        match block["type"]:
            case "text":
                yield _length(block["text"])
            case "thinking" if with_thoughts:
                yield _length(block["thinking"])
            case "tool_use":
                yield _length(block["name"]) + _length(_json(block["input"]))
            case "tool_result":
                yield from _seen(block.get("content") or "")
            case "image":
                yield _image(block["source"])
            case "document" if block["source"]["type"] == "base64":
                yield _A_PAGE * max(1, b64decode(block["source"]["data"]).count(b"/Type /Page\n"))
            case "document":
                yield _length(block["source"].get("data") or _json(block["source"]))


def _length(text: str) -> float:
    ascii_characters = len(text.encode("ascii", errors="ignore"))
    return ascii_characters / 4 + (len(text.encode()) - ascii_characters) * 2 / 5


def _json(value: Any) -> str:
    return dumps(value).decode()


def _image(source: Json) -> float:
    """Of a PNG by its pixels; anything else counts as the largest image."""
    raw = b64decode(source.get("data") or "")
    if raw[1:4] != b"PNG":
        return _LARGEST_IMAGE
    width, height = struct.unpack(">II", raw[16:24])
    shrunk = min(1, 1_568 / width, 1_568 / height) ** 2
    return float(min(_LARGEST_IMAGE, width * height * shrunk / 750))
