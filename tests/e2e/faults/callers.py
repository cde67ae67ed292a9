"""Callers, each in his own manner, and what each of them saw."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum

import aiohttp

from tests.e2e.faults.plan import Ask, Manner

STALL_SECONDS = 2.0


class End(Enum):
    """How a request ended for its caller. `LOST`: not at all, or with something else than he is owed."""

    WHOLE = "whole"
    REFUSED = "refused"
    FAILED = "failed"
    LEFT = "left"
    LOST = "lost"
    DOUBLED = "doubled"


@dataclass(frozen=True, slots=True)
class Outcome:
    """`seconds` from the first attempt on; `attempts` how often he came; `detail` says what is odd."""

    ask: Ask
    end: End
    status: int
    seconds: float
    attempts: int
    detail: str = ""


class Left(Exception):
    """The caller has gone."""


@dataclass(slots=True)
class Callers:
    """Who asks at `url`; `attempts` bounds how often one comes again who was told to."""

    url: str
    http: aiohttp.ClientSession
    attempts: int = 20

    async def call(self, ask: Ask, key: str) -> Outcome:
        """One request, as often as its caller is told to come again later."""
        clock = asyncio.get_running_loop().time
        began = clock()
        for attempt in range(1, self.attempts + 1):
            end, status, detail, wait = await self._once(ask, key)
            # An upstream's own limits and errors are no reason to try a scripted fault again.
            if end is not End.REFUSED or attempt == self.attempts or ask.fault:
                break
            await asyncio.sleep(wait)
        return Outcome(ask, end, status, clock() - began, attempt, detail)

    async def _once(self, ask: Ask, key: str) -> tuple[End, int, str, float]:
        status = 0
        try:
            headers = {"authorization": f"Bearer {key}"}
            async with self.http.post(f"{self.url}/v1/chat/completions", json=ask.body(), headers=headers) as response:
                status = response.status
                if status != 200:
                    return _refused_or_failed(response, await response.text())
                if not ask.streamed:
                    content = (await response.json())["choices"][0]["message"]["content"]
                    return *_weighed(ask, content, status), 0.0
                text, error, done = await _read(ask, response)
        except Left:
            return End.LEFT, status, "", 0.0
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return End.LOST, status, repr(error), 0.0
        if error and not done and ask.answer.startswith(text.rstrip()):
            return End.FAILED, status, error, 0.0
        if error or not done:
            return End.LOST, status, f"neither end nor error: {text[-80:]!r} {error}", 0.0
        return *_weighed(ask, text, status), 0.0


def _weighed(ask: Ask, text: str, status: int) -> tuple[End, int, str]:
    if text == ask.answer:
        return End.WHOLE, status, ""
    doubled = text.count(ask.answer.split()[0]) > ask.answer.count(ask.answer.split()[0])
    return End.DOUBLED if doubled else End.LOST, status, f"{text[:200]!r}"


def _refused_or_failed(response: aiohttp.ClientResponse, body: str) -> tuple[End, int, str, float]:
    try:
        code = json.loads(body)["error"]["code"]
    except (ValueError, LookupError, TypeError):
        return End.LOST, response.status, f"no error in the dialect's words: {body[:100]!r}", 0.0
    if response.status not in (429, 503):
        return End.FAILED, response.status, code, 0.0
    if not response.headers.get("Retry-After", "").isdigit():
        return End.LOST, response.status, f"{code} without a Retry-After", 0.0
    return End.REFUSED, response.status, code, float(response.headers["Retry-After"])


async def _read(ask: Ask, response: aiohttp.ClientResponse) -> tuple[str, str, bool]:
    """The text of a stream, the error in it, and whether it came to its own end. Raises `Left`."""
    pieces: list[str] = []
    error, done = "", False
    async for line in response.content:
        if not line.startswith(b"data: "):
            continue
        if line.strip() == b"data: [DONE]":
            done = True
            continue
        chunk = json.loads(line[6:])
        if "error" in chunk:
            error = chunk["error"]["code"] or chunk["error"]["message"]
            continue
        pieces += [choice["delta"].get("content") or "" for choice in chunk["choices"]]
        if ask.manner is Manner.LEAVES and len(pieces) > ask.patience:
            raise Left
        if ask.manner is Manner.STALLS and len(pieces) == 2:
            await asyncio.sleep(STALL_SECONDS)
    return "".join(pieces), error, done


@asynccontextmanager
async def callers(url: str, *, patience: float = 60.0) -> AsyncIterator[Callers]:
    """Callers with small buffers, so that one who does not read is noticed."""

    def small(address: tuple[object, ...]) -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        return made

    connector = aiohttp.TCPConnector(limit=0, socket_factory=small, force_close=True)
    timeout = aiohttp.ClientTimeout(total=patience)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, read_bufsize=16_384) as http:
        yield Callers(url, http)
