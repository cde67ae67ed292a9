"""Request bodies that cost a server far more than they cost their sender. No I/O.

Each body attacks in another way: compression, encoding, nesting, millions of values, or content that is parsed later.
"""

import base64
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.parts import MODEL

CHAT_PATH = "/v1/chat/completions"
COMPATIBILITY_PATH = "/v1/compatibility"
COUNT_TOKENS_PATH = "/v1/messages/count_tokens"
GEMINI_COUNT_TOKENS_PATH = f"/v1beta/models/{MODEL}:countTokens"
RESPONSES_PATH = "/v1/responses"

# The order in which deflate sends the lengths of its code lengths: RFC 1951, 3.2.7.
_CODE_LENGTH_ORDER = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)
_CODE_LENGTHS = {18: 1, 1: 2, 0: 2}
_HUGE_NUMBER_DIGITS = 4_000
_MAX_BOMB_BYTES = 64_000_000


@dataclass(frozen=True, slots=True)
class HostileRequest:
    """A hostile request.

    Attributes:
        name: Its name in the results.
        path: Its path.
        body: Its body, compressed if a header says so.
        headers: Headers in addition to those of every request.
    """

    name: str
    path: str
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)


def iter_hostile_requests(size_bytes: int) -> Iterator[HostileRequest]:
    """Make hostile requests one after another, with bodies of about this size."""
    yield HostileRequest(
        "empty deflate blocks", COUNT_TOKENS_PATH, _empty_deflate_blocks(size_bytes), {"content-encoding": "deflate"}
    )
    yield HostileRequest("gzip bomb", COUNT_TOKENS_PATH, _gzip_bomb(size_bytes), {"content-encoding": "gzip"})
    for name, path, value in _json_bodies(size_bytes):
        yield HostileRequest(name, path, json.dumps(value, separators=(",", ":")).encode())
    yield HostileRequest("nothing but brackets", CHAT_PATH, b"[" * size_bytes)
    yield HostileRequest("nothing but commas", CHAT_PATH, b"[" + b"0," * (size_bytes // 2) + b"0]")
    yield HostileRequest("a text of escapes", CHAT_PATH, b'{"model":"' + b"\\u0041" * (size_bytes // 6) + b'"}')
    yield HostileRequest("numbers without an end", CHAT_PATH, b'{"a":[' + b"9" * _HUGE_NUMBER_DIGITS + b",0]}")


def _json_bodies(size_bytes: int) -> Iterator[tuple[str, str, Any]]:
    yield (
        "percent-encoded data: URL",
        COMPATIBILITY_PATH,
        _chat_image_body("data:text/plain," + "%41" * (size_bytes // 3)),
    )
    yield "parameters of a data: URL", COMPATIBILITY_PATH, _chat_image_body("data:" + ";" * size_bytes)
    yield "segments of a JPEG", COUNT_TOKENS_PATH, _images_body(_jpeg_base64(segment_count=998), size_bytes)
    yield "tiny images", COUNT_TOKENS_PATH, _images_body("iVBORw0KGgo=", size_bytes // 2)
    yield "schemas of tools", COUNT_TOKENS_PATH, _tools_body(size_bytes)
    yield "functions of Gemini", GEMINI_COUNT_TOKENS_PATH, _functions_body(size_bytes)
    yield "keys in the arguments of a call", COMPATIBILITY_PATH, _arguments_body(size_bytes)
    yield (
        "arguments inside each other",
        COMPATIBILITY_PATH,
        _tool_call_body('{"a":' * (size_bytes // 12) + "1" + "}" * (size_bytes // 12)),
    )
    yield "calls with results", COMPATIBILITY_PATH, _tool_calls_body(size_bytes)
    yield "a long history", COUNT_TOKENS_PATH, _history_body(size_bytes)
    yield "a large response to keep", RESPONSES_PATH, {"model": MODEL, "input": "x" * size_bytes, "store": True}
    yield "a costly pattern", CHAT_PATH, _pattern_body()


def _chat_image_body(url: str) -> Any:
    content = [{"type": "image_url", "image_url": {"url": url}}]
    return {"model": MODEL, "messages": [{"role": "user", "content": content}]}


def _images_body(data: str, size_bytes: int) -> Any:
    block = {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": data}}
    return _messages_body([block] * (size_bytes // (len(data) + 90) + 1))


def _messages_body(content: Any) -> dict[str, Any]:
    return {"model": MODEL, "max_tokens": 5, "messages": [{"role": "user", "content": content}]}


def _jpeg_base64(segment_count: int) -> str:
    head = b"\xff\xd8" + b"\xff\xe0\x00\x02" * segment_count + b"\xff\xc0\x00\x11\x08\x00\x0a\x00\x0a\x03" + b"\0" * 20
    return base64.b64encode(head).decode()


def _tools_body(size_bytes: int) -> Any:
    properties = {f"p{number}": {"type": ["string", "null"], "enum": [1, 2]} for number in range(90)}
    schema = {"type": "object", "properties": properties}
    count = min(512, size_bytes // len(json.dumps(schema)) + 1)
    return _messages_body("a") | {"tools": [{"name": f"t{number}", "input_schema": schema} for number in range(count)]}


def _functions_body(size_bytes: int) -> Any:
    properties = {f"a{number}": {"type": "STRING"} for number in range(280)}
    parameters = {"type": "OBJECT", "properties": properties}
    count = min(400, size_bytes // len(json.dumps(parameters)) + 1)
    functions = [{"name": f"f{number}", "parameters": parameters} for number in range(count)]
    contents = [{"role": "user", "parts": [{"text": "a"}]}]
    tools = [{"functionDeclarations": functions}]
    return {"generateContentRequest": {"model": f"models/{MODEL}", "contents": contents, "tools": tools}}


def _arguments_body(size_bytes: int) -> Any:
    return _tool_call_body("{" + ",".join(f'"{number:x}":1' for number in range(size_bytes // 12)) + "}")


def _tool_call_body(arguments: str) -> Any:
    return {"model": MODEL, "messages": [{"role": "user", "content": "a"}, *_tool_call_messages("c", arguments)]}


def _tool_call_messages(id_: str, arguments: str) -> list[Any]:
    call = {"id": id_, "type": "function", "function": {"name": "f", "arguments": arguments}}
    return [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": id_, "content": "r"},
    ]


def _tool_calls_body(size_bytes: int) -> Any:
    turns = [turn for number in range(size_bytes // 190) for turn in _tool_call_messages(f"c{number}", "{}")]
    return {"model": MODEL, "messages": [{"role": "user", "content": "a"}, *turns]}


def _history_body(size_bytes: int) -> Any:
    roles = ("user", "assistant")
    turns = [{"role": roles[number % 2], "content": f"turn {number}"} for number in range(size_bytes // 80 * 2 + 1)]
    return {"model": MODEL, "max_tokens": 5, "messages": turns}


def _pattern_body() -> Any:
    """Return a request whose reply takes exponential time to reject by a pattern of the schema."""
    schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": "^(a|a)*$"}}, "required": ["a"]}
    reply = json.dumps({"a": "a" * 40 + "!"})
    return {
        "model": MODEL,
        "messages": [{"role": "user", "content": f"{{{{say {reply} }}}}"}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "s", "strict": True, "schema": schema}},
    }


def _gzip_bomb(size_bytes: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return packer.compress(b'{"model":"' + b"x" * min(size_bytes * 100, _MAX_BOMB_BYTES)) + packer.flush()


class _BitWriter:
    def __init__(self) -> None:
        self.data = bytearray()
        self._value = self._count = 0

    def write(self, value: int, bit_count: int) -> None:
        self._value |= value << self._count
        self._count += bit_count
        while self._count >= 8:
            self.data.append(self._value & 255)
            self._value >>= 8
            self._count -= 8


def _empty_deflate_blocks(size_bytes: int) -> bytes:
    """Return deflate blocks with Huffman tables and no data, so that a limit on the output does not stop them."""
    bits = _BitWriter()
    for _ in range(8):  # eight blocks end at a whole byte
        _write_empty_block(bits)
    payload = b'{"model":"x"}'
    length = len(payload)
    stored = b"\x01" + length.to_bytes(2, "little") + (length ^ 0xFFFF).to_bytes(2, "little") + payload
    blocks = bytes(bits.data) * (size_bytes // len(bits.data))
    return b"\x78\x9c" + blocks + stored + zlib.adler32(payload).to_bytes(4, "big")


def _write_empty_block(bits: _BitWriter) -> None:
    count = max(_CODE_LENGTH_ORDER.index(code) for code in _CODE_LENGTHS) + 1
    for value, width in ((0, 1), (2, 2), (0, 5), (0, 5), (count - 4, 4)):
        bits.write(value, width)
    for code in _CODE_LENGTH_ORDER[:count]:
        bits.write(_CODE_LENGTHS.get(code, 0), 3)
    # Literal 0 has a code of one bit, the next 255 have no code, 256 and distance 0 have one; then the block ends.
    for value, width in ((3, 2), (0, 1), (127, 7), (0, 1), (106, 7), (3, 2), (3, 2), (1, 1)):
        bits.write(value, width)
