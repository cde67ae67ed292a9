"""A caller of the gateway, thin enough not to be what is measured."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import orjson

from bench.parts import API_KEY, Messages, body


class Caller:
    """One keep-alive connection that sends chat requests and reads their streams, chunk by chunk."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, key: str = API_KEY) -> None:
        self._reader = reader
        self._writer = writer
        self._key = key

    async def ask(self, prompt: str, history: Messages | None = None) -> tuple[float, list[tuple[float, str]]]:
        """When the request was sent, and each text delta with its time of arrival (`time.monotonic`)."""
        content = body(prompt, history or [])
        head = (
            "POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\n"
            f"authorization: Bearer {self._key}\r\ncontent-length: {len(content)}\r\n\r\n"
        )
        sent = time.monotonic()
        self._writer.write(head.encode() + content)
        status = await self._head()
        deltas = []
        async for at, line in self._lines():
            if line.startswith(b"data: {"):
                choices = orjson.loads(line[6:]).get("choices")
                text = choices[0]["delta"].get("content") if choices else None
                if text:
                    deltas.append((at, text))
        if status != 200 or not deltas:
            raise RuntimeError(f"the gateway answered {status} with {len(deltas)} deltas")
        return sent, deltas

    async def get(self, path: str) -> None:
        self._writer.write(f"GET {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {self._key}\r\n\r\n".encode())
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
        await self._reader.readexactly(int(length.split(b":")[1]))

    def leave(self) -> None:
        self._writer.transport.abort()

    async def first_delta(self, prompt: str) -> None:
        """Ask, and return at the first text of the answer, with the rest unread."""
        content = body(prompt, [])
        self._writer.write(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer "
            + self._key.encode()
            + b"\r\ncontent-length: %d\r\n\r\n" % len(content)
            + content
        )
        await self._head()
        async for _, line in self._lines():
            if b'"content":"w' in line:
                return

    async def _head(self) -> int:
        head = await self._reader.readuntil(b"\r\n\r\n")
        return int(head.split(b" ", 2)[1])

    async def _lines(self) -> AsyncIterator[tuple[float, bytes]]:
        """The lines of a chunked body, each with the time at which its chunk arrived."""
        partial = b""
        while size := int(await self._reader.readline(), 16):
            data = await self._reader.readexactly(size + 2)
            at = time.monotonic()
            *lines, partial = (partial + data[:-2]).split(b"\n")
            for line in lines:
                yield at, line
        await self._reader.readline()


@asynccontextmanager
async def caller(url: str, key: str = API_KEY) -> AsyncIterator[Caller]:
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port, limit=1 << 22)
    try:
        yield Caller(reader, writer, key)
    finally:
        writer.transport.abort()
