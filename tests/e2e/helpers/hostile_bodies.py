"""Request bodies that cost as much as their bytes allow, for each path that accepts a body."""

import base64
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.e2e.helpers.gateway import MODEL

Json = Any
BodyFactory = Callable[[int], Json]


@dataclass(frozen=True)
class HostileBody:
    """A request body, with a name for its content and the headers for its encoding."""

    name: str
    raw: bytes
    headers: dict[str, str] = field(default_factory=dict)


PATHS: dict[str, tuple[str, str, str]] = {
    # Method, path, and the dialect of the bodies, or "" if they belong to no dialect.
    "chat": ("POST", "/v1/chat/completions", "chat"),
    "messages": ("POST", "/v1/messages", "messages"),
    "count_tokens": ("POST", "/v1/messages/count_tokens", "messages"),
    "responses": ("POST", "/v1/responses", "responses"),
    "generateContent": ("POST", f"/v1beta/models/{MODEL}:generateContent", "gemini"),
    "streamGenerateContent": ("POST", f"/v1beta/models/{MODEL}:streamGenerateContent", "gemini"),
    "countTokens": ("POST", f"/v1beta/models/{MODEL}:countTokens", "gemini"),
    "compatibility": ("POST", "/v1/compatibility", "chat"),
    "compatibility of messages": ("POST", "/v1/compatibility?dialect=messages", "messages"),
    "compatibility of responses": ("POST", "/v1/compatibility?dialect=responses", "responses"),
    "compatibility of gemini": ("POST", "/v1/compatibility?dialect=gemini", "gemini"),
    "debug": ("POST", "/v1/debug/request", "chat"),
    "debug of messages": ("POST", "/v1/debug/request?dialect=messages", "messages"),
    "debug of responses": ("POST", "/v1/debug/request?dialect=responses", "responses"),
    "debug of gemini": ("POST", "/v1/debug/request?dialect=gemini", "gemini"),
    "file of a session": ("PUT", "/v1/sessions/hostile/files/a", ""),
    "choice of tools": ("POST", "/v1/tools/config", ""),
    "key": ("POST", "/v1/admin/keys", ""),
    "MCP server": ("POST", "/v1/mcp/servers", ""),
    "MCP connection": ("POST", "/v1/mcp/connect", ""),
}


def make_hostile_bodies(path_name: str, size_bytes: int) -> Iterator[HostileBody]:
    """Yield the bodies of the path's dialect, of about `size_bytes` bytes each.

    One path for each handler also gets the bodies that belong to no dialect.
    """
    dialect = PATHS[path_name][2]
    if " of " not in path_name or not dialect:
        yield from _dialect_independent_bodies(size_bytes)
    for name, make in _BODIES_BY_DIALECT.get(dialect, {}).items():
        raw = json.dumps(make(size_bytes), separators=(",", ":"), ensure_ascii=False).encode()
        yield HostileBody(name, raw[: size_bytes * 2])


def _dialect_independent_bodies(size_bytes: int) -> Iterator[HostileBody]:
    yield HostileBody("empty objects", b'{"a":[' + b"{}," * (size_bytes // 3) + b"{}]}")
    yield HostileBody("numbers", b'{"a":[' + b"1," * (size_bytes // 2) + b"1]}")
    yield HostileBody("levels", b'{"a":' + b"[" * (size_bytes // 2) + b"]" * (size_bytes // 2) + b"}")
    yield HostileBody("fields", b"{" + b",".join(b'"%x":1' % one for one in range(size_bytes // 10)) + b"}")
    yield HostileBody("escapes", b'{"a":"' + b"\\u00e9" * (size_bytes // 6) + b'"}')
    yield HostileBody("one text", b'{"a":"' + b"x" * size_bytes + b'"}')
    yield HostileBody("commas in a text", b'{"a":"' + b"," * size_bytes + b'"}')
    yield HostileBody("broken at the end", b'{"a":[' + b"[]," * (size_bytes // 3))
    yield HostileBody("empty blocks of deflate", _empty_deflate_blocks(size_bytes), {"content-encoding": "deflate"})
    zeros = zlib.compress(b'{"a":"' + b"0" * min(size_bytes * 100, 200_000_000) + b'"}')
    yield HostileBody("zeros in deflate", zeros, {"content-encoding": "deflate"})


def _empty_deflate_blocks(size_bytes: int) -> bytes:
    """Return a deflate stream with many dynamic Huffman tables and no data that they encode."""
    bits, count, packed = 0, 0, bytearray()

    def add(value: int, width: int) -> None:
        nonlocal bits, count
        bits |= value << count
        count += width
        while count >= 8:
            packed.append(bits & 255)
            bits >>= 8
            count -= 8

    order = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]
    lengths = {18: 1, 1: 2, 0: 2}
    last = max(map(order.index, lengths)) + 1
    for _ in range(8):  # after eight blocks the stream ends at a byte boundary
        for value, width in ((0, 1), (2, 2), (0, 5), (0, 5), (last - 4, 4)):
            add(value, width)
        for one in order[:last]:
            add(lengths.get(one, 0), 3)
        # One literal, 255 absent literals, the end of a block, a distance; then the end of the block.
        for value, width in ((3, 2), (0, 1), (127, 7), (0, 1), (106, 7), (3, 2), (3, 2), (1, 1)):
            add(value, width)
    text = b'{"model":"x"}'
    stored = b"\x01" + len(text).to_bytes(2, "little") + (len(text) ^ 0xFFFF).to_bytes(2, "little") + text
    return b"\x78\x9c" + bytes(packed) * (size_bytes // len(packed)) + stored + zlib.adler32(text).to_bytes(4, "big")


def _repeat_to_size(size_bytes: int, factory: BodyFactory) -> list[Json]:
    """Return as many objects as fit into `size_bytes`, each made from its number."""
    objects, remaining = [], size_bytes
    while remaining > 0:
        item = factory(len(objects))
        objects.append(item)
        remaining -= len(json.dumps(item, separators=(",", ":"))) + 1
    return objects


def _schema(property_count: int) -> Json:
    named = {f"p{number}": {"type": ["string", "null"], "enum": [1, 2]} for number in range(property_count)}
    return {"type": "object", "properties": named}


_USER = {"role": "user", "content": "a"}
_PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\6\0\0\0").decode()
_JPEG = base64.b64encode(
    b"\xff\xd8" + b"\xff\xe0\x00\x02" * 998 + b"\xff\xc0\x00\x11\x08\x00\x0a\x00\x0a\x03" + b"\0" * 20
).decode()


def _image_block(data: str, media_type: str) -> Json:
    return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}


def _messages_body(messages: list[Json], **fields: Json) -> Json:
    return {"model": MODEL, "max_tokens": 5, "messages": messages, **fields}


def _user_message_body(content: Json, **fields: Json) -> Json:
    return _messages_body([{"role": "user", "content": content}], **fields)


def _chat_body(messages: list[Json], **fields: Json) -> Json:
    return {"model": MODEL, "messages": messages, **fields}


def _image_message(url: str) -> Json:
    return {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}


def _tool_call_message(number: int, arguments: str = "{}") -> Json:
    call = {"id": f"c{number}", "type": "function", "function": {"name": "f", "arguments": arguments}}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def _responses_body(items: list[Json], **fields: Json) -> Json:
    return {"model": MODEL, "input": [_USER, *items], **fields}


def _gemini_body(parts: list[Json], **fields: Json) -> Json:
    return {"contents": [{"role": "user", "parts": parts}], **fields}


def _tool_object(name: str, schema: Json) -> Json:
    return {"name": name, "input_schema": schema}


_BODIES_BY_DIALECT: dict[str, dict[str, BodyFactory]] = {
    "messages": {
        "tiny images": lambda size: _user_message_body(
            _repeat_to_size(size, lambda _: _image_block(_PNG, "image/png"))
        ),
        "segments of JPEGs": lambda size: _user_message_body(
            _repeat_to_size(size, lambda _: _image_block(_JPEG, "image/jpeg"))
        ),
        "texts": lambda size: _user_message_body(
            _repeat_to_size(min(size, 250_000), lambda _: {"type": "text", "text": "x"})
        ),
        "turns": lambda size: _messages_body(
            _repeat_to_size(min(size, 70_000), lambda one: {"role": ("user", "assistant")[one % 2], "content": "a"})
        ),
        "long turns": lambda size: _messages_body(
            [{"role": ("user", "assistant")[one % 2], "content": "a" * (size // 2000)} for one in range(1_999)]
        ),
        "properties of tools": lambda size: _user_message_body(
            "a", tools=[_tool_object(f"t{number}", _schema(size // 25_000)) for number in range(512)]
        ),
        "a schema in itself": lambda size: _user_message_body(
            "a", tools=[_tool_object("t", {"anyOf": [{"$ref": "#"}] * min(size // 13, 30_000)})]
        ),
        "alternatives": lambda size: _user_message_body(
            "a",
            tools=[
                _tool_object(
                    "t", {"anyOf": _repeat_to_size(size // 4, lambda one: {"properties": {"a": {"const": one}}})}
                )
            ],
        ),
        "references to renamed properties": lambda size: _user_message_body(
            "a",
            tools=[
                _tool_object(
                    "t", {"properties": {f"é{one}": {"$ref": f"#/properties/x{one}"} for one in range(size // 300)}}
                )
            ],
        ),
        "required by many": lambda size: _user_message_body(
            "a",
            tools=[
                _tool_object("t", {"allOf": [{"required": [f"{two}{one}" for one in range(40_000)]} for two in "ab"]})
            ],
        ),
        "calls with one id": lambda size: _messages_body(
            [
                _USER,
                {
                    "role": "assistant",
                    "content": _repeat_to_size(
                        min(size, 800_000),
                        lambda one: {"type": "tool_use", "id": "c", "name": "f", "input": {"a": one}},
                    ),
                },
            ]
        ),
        "unknown blocks": lambda size: _user_message_body(
            _repeat_to_size(min(size, 300_000), lambda one: {"type": f"z{one}", "a": "b"})
        ),
        "unknown parameters": lambda size: _user_message_body(
            "a", **{f"temp{one}": 1 for one in range(min(9_900, size // 12))}
        ),
    },
    "chat": {
        "percent-encoded data": lambda size: _chat_body([_image_message("data:text/plain," + "%41" * (size // 3))]),
        "semicolons of a data: URL": lambda size: _chat_body([_image_message("data:" + ";" * size)]),
        "heads of data: URLs": lambda size: _chat_body(
            [
                {
                    "role": "user",
                    "content": _repeat_to_size(
                        size, lambda _: _image_message("data:" + ";" * 900 + ",a")["content"][0]
                    ),
                }
            ]
        ),
        "fields of arguments": lambda size: _chat_body(
            [_USER, _tool_call_message(0, "{" + ",".join(f'"{one:x}":1' for one in range(size // 13)) + "}")]
        ),
        "lists in arguments": lambda size: _chat_body(
            [_USER, _tool_call_message(0, '{"a":[' + "[]," * (size // 3) + "[]]}")]
        ),
        "arguments that are not JSON": lambda size: _chat_body([_USER, _tool_call_message(0, "{'a':" + "[" * size)]),
        "digits of arguments": lambda size: _chat_body(
            [_USER, _tool_call_message(0, '{"a":[' + ",".join(["9" * 3_999] * (size // 4_000)) + "]}")]
        ),
        "arguments of many calls": lambda size: _chat_body(
            [_USER, *(_tool_call_message(one, '{"a":[' + "1," * (size // 2_000) + "1]}") for one in range(900))]
        ),
        "calls and results": lambda size: _chat_body(
            [
                _USER,
                *(
                    message
                    for one in range(min(15_000, size // 180))
                    for message in (
                        _tool_call_message(one),
                        {"role": "tool", "tool_call_id": f"c{one}", "content": "r"},
                    )
                ),
            ]
        ),
        "a reply with a schema": lambda size: _chat_body(
            [_USER],
            response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": _schema(size // 60)}},
        ),
    },
    "responses": {
        "items": lambda size: _responses_body(_repeat_to_size(min(size, 400_000), lambda _: _USER)),
        "calls": lambda size: _responses_body(
            _repeat_to_size(
                min(size, 900_000),
                lambda one: {"type": "function_call", "call_id": f"c{one}", "name": "f", "arguments": "{}"},
            )
        ),
        "arguments": lambda size: _responses_body(
            [
                {
                    "type": "function_call",
                    "call_id": "c",
                    "name": "f",
                    "arguments": '{"a":[' + "{}," * (size // 3) + "1]}",
                }
            ]
        ),
        "instructions in many scripts": lambda size: _responses_body(
            [], instructions="\u2028é漢" * (size // 8), stream=True
        ),
        "references": lambda size: _responses_body(
            _repeat_to_size(min(size, 400_000), lambda one: {"type": "item_reference", "id": f"r{one}"})
        ),
        "signed thinking": lambda size: _responses_body(
            [{"type": "reasoning", "id": "r", "summary": [], "encrypted_content": "A" * size}]
        ),
        "tools": lambda size: _responses_body(
            [],
            tools=[
                {"type": "function", "name": f"t{one}", "parameters": _schema(size // 25_000)} for one in range(512)
            ],
        ),
    },
    "gemini": {
        "parts": lambda size: _gemini_body(_repeat_to_size(min(size, 120_000), lambda _: {"text": "a"})),
        "inline data": lambda size: _gemini_body(
            _repeat_to_size(size, lambda _: {"inlineData": {"mimeType": "image/jpeg", "data": _JPEG}})
        ),
        "functions": lambda size: _gemini_body(
            [{"text": "a"}],
            tools=[
                {
                    "functionDeclarations": [
                        {
                            "name": f"f{one}",
                            "parameters": {
                                "type": "OBJECT",
                                "properties": {f"a{two}": {"type": "STRING"} for two in range(size // 12_000)},
                            },
                        }
                        for one in range(400)
                    ]
                }
            ],
        ),
        "functions to count": lambda size: {
            "generateContentRequest": {"model": f"models/{MODEL}", **_BODIES_BY_DIALECT["gemini"]["functions"](size)}
        },
        "unknown tools": lambda size: _gemini_body(
            [{"text": "a"}], tools=_repeat_to_size(min(size, 100_000), lambda one: {f"z{one}": {}})
        ),
    },
}
