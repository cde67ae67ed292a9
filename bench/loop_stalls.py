"""Benchmark of stalls: the time for which one large request blocks the gateway's event loop."""

import asyncio
import statistics
import struct
import sys
import tempfile
import uuid
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson

from bench.parts import API_KEY, MODEL, gateway_environment, run_upstream_process

BenchResult = dict[str, Any]
Message = dict[str, Any]
Messages = list[Message]

_TURN_COUNT = 40
_TURN_CHARS = 256_000
_MEDIA_BYTES = 7_500_000  # 10 MB in base64
_PDF_MAGIC = b"%PDF-1.4\n"
# The head of an image with one pixel; the gateway does not read the rest.
_PNG_HEAD = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBBBBB", 13, b"IHDR", 1, 1, 8, 2, 0, 0, 0)
_TIMEOUT_SECONDS = 120


async def measure_loop_stalls(rounds: int) -> BenchResult:
    """Measure the longest stall during one chat in milliseconds: the median and the minimum of the rounds.

    The minimum is more meaningful on a busy machine.

    The chats are a short one, one with a history of 40 turns of 256 kB that no process has, one with an image and one
    with a document of 10 MB, and the next turn of the conversation about the document.
    """
    stalls: dict[str, list[float]] = {}
    headers = {"authorization": f"Bearer {API_KEY}"}
    async with (
        run_upstream_process() as upstream,
        _run_watched_gateway(upstream) as (url, read_stall),
        aiohttp.ClientSession(url, headers=headers) as http,
    ):
        for number in range(-1, rounds):  # the first round warms up
            for name, messages in _make_conversations():
                await read_stall()
                await _send_chat(http, messages)
                stall = await read_stall()
                if number >= 0:
                    stalls.setdefault(name, []).append(stall)
    return {
        f"{name}_{statistic}_ms": round(compute(values), 1)
        for name, values in stalls.items()
        for statistic, compute in (("median", statistics.median), ("min", min))
    }


def _make_conversations() -> list[tuple[str, Messages]]:
    """Return conversations that are new to every process, and as the last one a continuation of the one before."""
    history = [
        {"role": ("user", "assistant")[number % 2], "content": f"{uuid.uuid4()} " + "word " * (_TURN_CHARS // 5)}
        for number in range(_TURN_COUNT)
    ]
    document = _make_media_turn("file", {"file_data": f"data:application/pdf;base64,{_encode_base64(_PDF_MAGIC)}"})
    return [
        ("short", [_make_turn(f"one two {uuid.uuid4()}")]),
        ("history", [*history, _make_turn("one two")]),
        ("image", [_make_media_turn("image_url", {"url": f"data:image/png;base64,{_encode_base64(_PNG_HEAD)}"})]),
        ("document", [document]),
        ("continued", [document, {"role": "assistant", "content": "one two"}, _make_turn("three")]),
    ]


def _make_turn(text: str) -> Message:
    return {"role": "user", "content": text}


def _make_media_turn(kind: str, media: Message) -> Message:
    return {"role": "user", "content": [{"type": "text", "text": "one two"}, {"type": kind, kind: media}]}


def _encode_base64(head: bytes) -> str:
    return b64encode(head + uuid.uuid4().bytes * (_MEDIA_BYTES // 16)).decode()


async def _send_chat(http: aiohttp.ClientSession, messages: Messages) -> None:
    """Send a chat and read its response; a rejected image is accepted, because it reached the upstream too."""
    body = orjson.dumps({"model": MODEL, "messages": messages})
    async with http.post("/v1/chat/completions", data=body, headers={"content-type": "application/json"}) as response:
        await response.read()
        if response.status not in (200, 400):
            raise RuntimeError(f"the gateway responded with {response.status}: {(await response.read())[:300]!r}")


@asynccontextmanager
async def _run_watched_gateway(upstream_url: str) -> AsyncIterator[tuple[str, Any]]:
    """Run a gateway with a monitor of its event loop.

    Yields:
        Its URL, and a function that returns the longest stall since its last call, in milliseconds.
    """
    with tempfile.TemporaryDirectory() as directory:
        settings = {"MAX_REQUEST_SIZE": "50000000", "CHAT_WORKERS": "2", "CHAT_SPARE_WORKERS": "1"}
        env = gateway_environment(directory, upstream_url, STATE_DIR=directory, **settings)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bench.watched_gateway"),
            env=env,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        stdin, stdout = process.stdin, process.stdout

        async def read_stall() -> float:
            stdin.write(b"\n")
            return float(await stdout.readline())

        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                while "serving on" not in (line := (await process.stderr.readline()).decode().strip()):
                    if not line:
                        raise RuntimeError("the gateway did not start")
            log = asyncio.create_task(process.stderr.read())
            yield line.split()[-1], read_stall
            log.cancel()
        finally:
            stdin.close()
            await process.wait()
