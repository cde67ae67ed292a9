"""Minimal client of the gateway, so that the benchmarks do not measure the client."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import orjson

from bench.parts import API_KEY, ChatMessages, chat_request_body


class BenchClient:
    """One keep-alive connection that sends chat requests and reads their streams, chunk by chunk."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, api_key: str = API_KEY) -> None:
        self._reader = reader
        self._writer = writer
        self._api_key = api_key

    async def send_chat(
        self, prompt: str, history: ChatMessages | None = None
    ) -> tuple[float, list[tuple[float, str]]]:
        """Send a chat request and read its whole stream.

        Returns:
            The time at which the request was sent, and each text delta with the time of its arrival, both by
            `time.monotonic`.
        """
        content = chat_request_body(prompt, history or [])
        head = (
            "POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\n"
            f"authorization: Bearer {self._api_key}\r\ncontent-length: {len(content)}\r\n\r\n"
        )
        sent_at = time.monotonic()
        self._writer.write(head.encode() + content)
        status = await self._read_head()
        deltas = []
        async for received_at, line in self._read_lines():
            if line.startswith(b"data: {"):
                choices = orjson.loads(line[6:]).get("choices")
                text = choices[0]["delta"].get("content") if choices else None
                if text:
                    deltas.append((received_at, text))
        if status != 200 or not deltas:
            raise RuntimeError(f"the gateway responded with {status} and {len(deltas)} deltas")
        return sent_at, deltas

    async def get(self, path: str) -> None:
        """Send a GET request and read its response."""
        self._writer.write(
            f"GET {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {self._api_key}\r\n\r\n".encode()
        )
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
        await self._reader.readexactly(int(length.split(b":")[1]))

    def disconnect(self) -> None:
        """Close the connection without reading the rest of a response."""
        self._writer.transport.abort()

    async def wait_first_delta(self, prompt: str) -> None:
        """Send a chat request and return at the first text of the reply, with the rest unread."""
        content = chat_request_body(prompt, [])
        self._writer.write(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer "
            + self._api_key.encode()
            + b"\r\ncontent-length: %d\r\n\r\n" % len(content)
            + content
        )
        await self._read_head()
        async for _, line in self._read_lines():
            if b'"content":"w' in line:
                return

    async def _read_head(self) -> int:
        head = await self._reader.readuntil(b"\r\n\r\n")
        return int(head.split(b" ", 2)[1])

    async def _read_lines(self) -> AsyncIterator[tuple[float, bytes]]:
        """Yield the lines of a chunked body, each with the time at which its chunk arrived."""
        partial = b""
        while size := int(await self._reader.readline(), 16):
            data = await self._reader.readexactly(size + 2)
            received_at = time.monotonic()
            *lines, partial = (partial + data[:-2]).split(b"\n")
            for line in lines:
                yield received_at, line
        await self._reader.readline()


@asynccontextmanager
async def connect_client(url: str, api_key: str = API_KEY) -> AsyncIterator[BenchClient]:
    """Connect a client for the length of a `with`."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port, limit=1 << 22)
    try:
        yield BenchClient(reader, writer, api_key)
    finally:
        writer.transport.abort()
