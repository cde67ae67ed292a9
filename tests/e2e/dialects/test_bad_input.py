"""Invalid and unusual input gets a clear error or is delivered exactly; the gateway neither fails nor hangs."""

import asyncio
import gzip
import io
import zlib
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import orjson
import pytest

from tests.e2e.helpers.gateway import API_KEY, MODEL, Gateway

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

HELLO = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}]}
BODIES: dict[str, tuple[bytes, int]] = {
    "nothing": (b"", 400),
    "broken JSON": (b'{"model": ', 400),
    "invalid UTF-8": (b'{"model": "\xff\xfe"}', 400),
    "a list": (b"[]", 400),
    "a thousand levels": (b"[" * 5000 + b"]" * 5000, 400),
    "no model": (orjson.dumps({"messages": HELLO["messages"]}), 422),
    "no messages": (orjson.dumps({"model": MODEL}), 422),
    "empty messages": (orjson.dumps({"model": MODEL, "messages": []}), 422),
    "messages as text": (orjson.dumps({"model": MODEL, "messages": "hello"}), 422),
    "an unknown role": (orjson.dumps({"model": MODEL, "messages": [{"role": "wizard", "content": "hi"}]}), 422),
    "a number as content": (orjson.dumps({"model": MODEL, "messages": [{"role": "user", "content": 5}]}), 422),
    "negative max_tokens": (orjson.dumps({**HELLO, "max_tokens": -5}), 400),
    "stream as text": (orjson.dumps({**HELLO, "stream": "perhaps"}), 422),
    "only a blank system message": (
        orjson.dumps({"model": MODEL, "messages": [{"role": "system", "content": " "}]}),
        400,
    ),
    "a blank message": (orjson.dumps({"model": MODEL, "messages": [{"role": "user", "content": " \n"}]}), 400),
    "an unknown model": (orjson.dumps({**HELLO, "model": "llama-x"}), 404),
    "a model with a newline": (orjson.dumps({**HELLO, "model": "claude-\r\nx: y"}), 404),
    "more than 32 MiB": (orjson.dumps({**HELLO, "padding": "x" * 33_600_000}), 413),
}


async def post(gateway: Gateway, body: bytes, **headers: str) -> tuple[int, dict[str, Any], Any]:
    all_headers = {"authorization": f"Bearer {API_KEY}", "content-type": "application/json", **headers}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{gateway.url}/v1/chat/completions", data=io.BytesIO(body), headers=all_headers) as response,
    ):
        return response.status, await response.json(), response.headers


@pytest.mark.parametrize("case", BODIES)
async def test_invalid_body_gets_a_clear_error_and_the_next_request_works(gateway: Gateway, case: str) -> None:
    body, expected = BODIES[case]
    status, answer, headers = await post(gateway, body)
    assert status == expected
    assert answer["error"]["message"]
    assert answer["error"]["type"]
    assert headers["x-request-id"]
    assert (await post(gateway, orjson.dumps(HELLO)))[0] == 200


@pytest.mark.parametrize(
    "text", ["\u0000 nul", "\u2028 line separator", "\ufeff bom", '"}\n{"type":"user"}', "\\u0000"]
)
async def test_unusual_characters_arrive_exactly(gateway: Gateway, text: str) -> None:
    status, answer, _ = await post(
        gateway, orjson.dumps({"model": MODEL, "messages": [{"role": "user", "content": text + "|"}]})
    )
    assert status == 200
    assert answer["choices"][0]["message"]["content"].strip() == (text + "|").strip()


async def test_lone_surrogate_is_rejected(gateway: Gateway) -> None:
    body = b'{"model":"%b","messages":[{"role":"user","content":"\\ud800"}]}' % MODEL.encode()
    status, _, _ = await post(gateway, body)
    assert status == 400


async def test_a_large_prompt_arrives_whole(gateway: Gateway) -> None:
    text = "word " * 100_000 + "end"
    assert await gateway.stream_text({"role": "user", "content": text}) == text


ENCODED = {
    "gzip": ("gzip", gzip.compress(orjson.dumps(HELLO)), 200),
    "deflate": ("deflate", zlib.compress(orjson.dumps(HELLO)), 200),
    "not what it says": ("gzip", orjson.dumps(HELLO), 400),
    "cut short": ("gzip", gzip.compress(orjson.dumps(HELLO))[:-9], 400),
    "a bomb": ("gzip", gzip.compress(bytes(200_000_000), 1), 413),
    "unknown": ("br", orjson.dumps(HELLO), 415),
}


@pytest.mark.parametrize("case", ENCODED)
async def test_compressed_body_is_decompressed_within_the_limit_or_rejected(gateway: Gateway, case: str) -> None:
    encoding, body, expected = ENCODED[case]
    assert (await post(gateway, body, **{"content-encoding": encoding}))[0] == expected
    assert (await post(gateway, orjson.dumps(HELLO)))[0] == 200


async def send_raw_request(gateway: Gateway, request: bytes) -> bytes:
    """Send bytes that no HTTP library would send, and return the first part of the response."""
    address = urlsplit(gateway.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        writer.write(request)
        return await asyncio.wait_for(reader.read(4096), 10)
    finally:
        writer.close()
        await writer.wait_closed()


@pytest.mark.promise("limits.body-size")
@pytest.mark.parametrize(
    ("path", "shape"), [("/v1/chat/completions", b'{"error":{'), ("/v1/messages", b'{"type":"err')]
)
@pytest.mark.parametrize("chunked", [False, True], ids=["its size said", "in chunks"])
async def test_body_of_200_mb_is_rejected_before_it_is_read(
    gateway: Gateway, path: str, shape: bytes, chunked: bool
) -> None:
    length = b"transfer-encoding: chunked" if chunked else b"content-length: 200000000"
    head = b"POST %b HTTP/1.1\r\nhost: x\r\nx-api-key: %b\r\n%b\r\n\r\n" % (path.encode(), API_KEY.encode(), length)
    # Without a Content-Length the size is known only after the limit is passed; with one, the gateway needs no body.
    all_headers = (b"100000\r\n" + b"A" * 0x100000 + b"\r\n") * 33 if chunked else b""
    answer = await send_raw_request(gateway, head + all_headers)
    assert answer.startswith(b"HTTP/1.1 413"), answer[:80]
    assert answer.partition(b"\r\n\r\n")[2].startswith(shape)
    assert b"request_too_large" in answer
    assert gateway.upstream.requests == []


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %b\x01\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nhost: x\r\nx-api-key: %b\r\x0b\r\n\r\n",
        b"GET http://[::1/v1?key=%b HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /v1beta/models?key=%b\x00 HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nhost: x\r\nx-api-key: " + b"y" * 9000 + b"%b\r\n\r\n",
    ],
    ids=["control character", "bare return", "broken target", "broken query", "too long"],
)
async def test_malformed_request_gets_an_api_error_and_its_key_is_not_logged(
    gateway: Gateway, request_bytes: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    answer = await send_raw_request(gateway, request_bytes.replace(b"%b", API_KEY.encode()))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.split(b" ")[1] == b"400"
    assert b"x-request-id" in head.lower()
    assert orjson.loads(body)["error"]["message"]
    assert API_KEY.encode() not in answer
    assert API_KEY not in caplog.text


async def test_a_request_id_cannot_inject_a_header(gateway: Gateway) -> None:
    answer = await send_raw_request(gateway, b"GET /health HTTP/1.1\r\nhost: x\r\nx-request-id: a\x0bb\r\n\r\n")
    assert answer.split(b" ")[1] in (b"200", b"400")
    assert b"a\x0bb" not in answer
    answer = await send_raw_request(
        gateway, b"GET /health HTTP/1.1\r\nhost: x\r\nx-request-id: a\rset-cookie: b\r\n\r\n"
    )
    assert b"\r\nset-cookie" not in answer.lower().partition(b"\r\n\r\n")[0]


async def test_key_of_non_ascii_bytes_is_rejected(gateway: Gateway) -> None:
    for key in (b"\xff\xfe\x80", "clé".encode(), b"", b"a" * 7000):
        answer = await send_raw_request(
            gateway, b"GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer " + key + b"\r\n\r\n"
        )
        assert answer.startswith(b"HTTP/1.1 401"), answer[:80]
    assert await gateway.stream_text("still there") == "still there"
