"""Request bodies that cost a server far more than they cost their sender. Pure.

Each is one of a kind: packed, encoded, nested, counted by the million, or with something inside that is parsed later.
"""

import base64
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.parts import MODEL

CHAT = "/v1/chat/completions"
COMPATIBILITY = "/v1/compatibility"
COUNT = "/v1/messages/count_tokens"
GEMINI_COUNT = f"/v1beta/models/{MODEL}:countTokens"
RESPONSES = "/v1/responses"

# The order in which deflate sends the lengths of its code lengths: RFC 1951, 3.2.7.
_CODE_ORDER = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)
_CODE_LENGTHS = {18: 1, 1: 2, 0: 2}
_HUGE_DIGITS = 4_000
_MAX_BOMB_BYTES = 64_000_000


@dataclass(frozen=True, slots=True)
class Hostile:
    """A request: its path, its body as it is sent, and headers beside those of every request."""

    name: str
    path: str
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)


def hostile_bodies(size: int) -> Iterator[Hostile]:
    """Bodies of about `size` bytes each, made one after another."""
    yield Hostile("empty deflate blocks", COUNT, _empty_blocks(size), {"content-encoding": "deflate"})
    yield Hostile("gzip bomb", COUNT, _bomb(size), {"content-encoding": "gzip"})
    for name, path, value in _values(size):
        yield Hostile(name, path, json.dumps(value, separators=(",", ":")).encode())
    yield Hostile("nothing but brackets", CHAT, b"[" * size)
    yield Hostile("nothing but commas", CHAT, b"[" + b"0," * (size // 2) + b"0]")
    yield Hostile("a text of escapes", CHAT, b'{"model":"' + b"\\u0041" * (size // 6) + b'"}')
    yield Hostile("numbers without an end", CHAT, b'{"a":[' + b"9" * _HUGE_DIGITS + b",0]}")


def _values(size: int) -> Iterator[tuple[str, str, Any]]:
    yield "percent-encoded data: URL", COMPATIBILITY, _chat_image("data:text/plain," + "%41" * (size // 3))
    yield "parameters of a data: URL", COMPATIBILITY, _chat_image("data:" + ";" * size)
    yield "segments of a JPEG", COUNT, _images(_jpeg(segments=998), size)
    yield "tiny images", COUNT, _images("iVBORw0KGgo=", size // 2)
    yield "schemas of tools", COUNT, _tools(size)
    yield "functions of Gemini", GEMINI_COUNT, _functions(size)
    yield "keys in the arguments of a call", COMPATIBILITY, _arguments(size)
    yield "arguments inside each other", COMPATIBILITY, _called('{"a":' * (size // 12) + "1" + "}" * (size // 12))
    yield "calls with results", COMPATIBILITY, _calls(size)
    yield "a long history", COUNT, _history(size)
    yield "a large response to keep", RESPONSES, {"model": MODEL, "input": "x" * size, "store": True}
    yield "a costly pattern", CHAT, _pattern()


def _chat_image(url: str) -> Any:
    content = [{"type": "image_url", "image_url": {"url": url}}]
    return {"model": MODEL, "messages": [{"role": "user", "content": content}]}


def _images(data: str, size: int) -> Any:
    block = {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": data}}
    return _messages([block] * (size // (len(data) + 90) + 1))


def _messages(content: Any) -> dict[str, Any]:
    return {"model": MODEL, "max_tokens": 5, "messages": [{"role": "user", "content": content}]}


def _jpeg(segments: int) -> str:
    head = b"\xff\xd8" + b"\xff\xe0\x00\x02" * segments + b"\xff\xc0\x00\x11\x08\x00\x0a\x00\x0a\x03" + b"\0" * 20
    return base64.b64encode(head).decode()


def _tools(size: int) -> Any:
    one = {f"p{number}": {"type": ["string", "null"], "enum": [1, 2]} for number in range(90)}
    schema = {"type": "object", "properties": one}
    count = min(512, size // len(json.dumps(schema)) + 1)
    return _messages("a") | {"tools": [{"name": f"t{number}", "input_schema": schema} for number in range(count)]}


def _functions(size: int) -> Any:
    properties = {f"a{number}": {"type": "STRING"} for number in range(280)}
    parameters = {"type": "OBJECT", "properties": properties}
    count = min(400, size // len(json.dumps(parameters)) + 1)
    functions = [{"name": f"f{number}", "parameters": parameters} for number in range(count)]
    contents = [{"role": "user", "parts": [{"text": "a"}]}]
    tools = [{"functionDeclarations": functions}]
    return {"generateContentRequest": {"model": f"models/{MODEL}", "contents": contents, "tools": tools}}


def _arguments(size: int) -> Any:
    return _called("{" + ",".join(f'"{number:x}":1' for number in range(size // 12)) + "}")


def _called(arguments: str) -> Any:
    return {"model": MODEL, "messages": [{"role": "user", "content": "a"}, *_call("c", arguments)]}


def _call(id_: str, arguments: str) -> list[Any]:
    call = {"id": id_, "type": "function", "function": {"name": "f", "arguments": arguments}}
    return [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": id_, "content": "r"},
    ]


def _calls(size: int) -> Any:
    turns = [turn for number in range(size // 190) for turn in _call(f"c{number}", "{}")]
    return {"model": MODEL, "messages": [{"role": "user", "content": "a"}, *turns]}


def _history(size: int) -> Any:
    roles = ("user", "assistant")
    turns = [{"role": roles[number % 2], "content": f"turn {number}"} for number in range(size // 80 * 2 + 1)]
    return {"model": MODEL, "max_tokens": 5, "messages": turns}


def _pattern() -> Any:
    """An answer that a pattern of the schema takes for ever to refuse."""
    schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": "^(a|a)*$"}}, "required": ["a"]}
    answer = json.dumps({"a": "a" * 40 + "!"})
    return {
        "model": MODEL,
        "messages": [{"role": "user", "content": f"{{{{say {answer} }}}}"}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "s", "strict": True, "schema": schema}},
    }


def _bomb(size: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return packer.compress(b'{"model":"' + b"x" * min(size * 100, _MAX_BOMB_BYTES)) + packer.flush()


class _Bits:
    def __init__(self) -> None:
        self.out = bytearray()
        self._value = self._count = 0

    def add(self, value: int, count: int) -> None:
        self._value |= value << self._count
        self._count += count
        while self._count >= 8:
            self.out.append(self._value & 255)
            self._value >>= 8
            self._count -= 8


def _empty_blocks(size: int) -> bytes:
    """Deflate blocks with tables of their own and nothing in them: all cost and no output to bound it by."""
    bits = _Bits()
    for _ in range(8):  # so many end at a whole byte
        _add_empty_block(bits)
    payload = b'{"model":"x"}'
    length = len(payload)
    stored = b"\x01" + length.to_bytes(2, "little") + (length ^ 0xFFFF).to_bytes(2, "little") + payload
    blocks = bytes(bits.out) * (size // len(bits.out))
    return b"\x78\x9c" + blocks + stored + zlib.adler32(payload).to_bytes(4, "big")


def _add_empty_block(bits: _Bits) -> None:
    count = max(_CODE_ORDER.index(code) for code in _CODE_LENGTHS) + 1
    for value, width in ((0, 1), (2, 2), (0, 5), (0, 5), (count - 4, 4)):
        bits.add(value, width)
    for code in _CODE_ORDER[:count]:
        bits.add(_CODE_LENGTHS.get(code, 0), 3)
    # Literal 0 has a code of one bit, 255 have none, 256 and distance 0 have one; then the end of the block.
    for value, width in ((3, 2), (0, 1), (127, 7), (0, 1), (106, 7), (3, 2), (3, 2), (1, 1)):
        bits.add(value, width)
