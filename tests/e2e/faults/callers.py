"""Callers, each in his own manner, and what each of them saw."""

import asyncio
import json
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import aiohttp

from tests.e2e.faults.plan import Ask, Manner

STALL_SECONDS = 2.0
# In place of an error's code, where a stream ends by a connection that breaks.
BROKEN_OFF = b"broken off"


class End(Enum):
    """How a request ended for its caller. `LOST`: not at all, or with something else than he is owed."""

    WHOLE = "whole"
    REFUSED = "refused"
    FAILED = "failed"
    LEFT = "left"
    LOST = "lost"
    DOUBLED = "doubled"


@dataclass(frozen=True, slots=True)
class Sight:
    """What a caller saw of one attempt, under the id that he gave it. `detail`: the code of an error, or what is odd;
    `tokens`: those in and out, where he was told of any."""

    request_id: str
    end: End
    status: int
    detail: str = ""
    tokens: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """`sights`: one for each time he came, the last of which counts; `seconds` from the first on."""

    ask: Ask
    sights: tuple[Sight, ...]
    seconds: float

    @property
    def end(self) -> End:
        return self.sights[-1].end

    @property
    def status(self) -> int:
        return self.sights[-1].status

    @property
    def detail(self) -> str:
        return self.sights[-1].detail


class Left(Exception):
    """The caller has gone."""


@dataclass(slots=True)
class Callers:
    """Who asks at `url`; `attempts` bounds how often one comes again who was told to; `there` is how many requests of
    each key the gateway has, and does not have while their callers wait to come again."""

    url: str
    http: aiohttp.ClientSession
    attempts: int = 20
    there: Counter[str] = field(default_factory=Counter)

    async def call(self, ask: Ask, key: str) -> Outcome:
        """One request, as often as its caller is told to come again later."""
        clock = asyncio.get_running_loop().time
        began = clock()
        sights: list[Sight] = []
        for attempt in range(1, self.attempts + 1):
            self.there[key] += 1
            sight, wait = await self._once(ask, key, f"{ask.token}.{attempt}")
            self.there[key] -= 1
            sights.append(sight)
            # An upstream's own limits and errors are no reason to try a scripted fault again.
            if sight.end is not End.REFUSED or attempt == self.attempts or ask.fault:
                break
            await asyncio.sleep(wait)
        return Outcome(ask, tuple(sights), clock() - began)

    async def message_count(self, session: str, key: str) -> int:
        """How many messages the gateway says it remembers of it."""
        headers = {"authorization": f"Bearer {key}"}
        async with self.http.get(f"{self.url}/v1/sessions/{session}", headers=headers) as response:
            return (await response.json())["message_count"] if response.status == 200 else 0

    async def jobs(self, key: str) -> dict[str, int]:
        """How many jobs there were, by result, as far as the key may know."""
        headers = {"authorization": f"Bearer {key}"}
        async with self.http.get(f"{self.url}/v1/usage?group_by=result", headers=headers) as response:
            return {row["result"]: row["jobs"] for row in (await response.json())["data"]}

    async def _once(self, ask: Ask, key: str, request_id: str) -> tuple[Sight, float]:
        """What he saw, and how long he is to wait before he comes again."""
        status = 0
        try:
            headers = {"authorization": f"Bearer {key}", "x-request-id": request_id}
            async with self.http.post(f"{self.url}/v1/chat/completions", json=ask.body(), headers=headers) as response:
                status = response.status
                if response.headers.get("x-request-id") != request_id:
                    return Sight(request_id, End.LOST, status, "the answer is another request's"), 0.0
                if status != 200:
                    return _refused_or_failed(request_id, response, await response.text())
                if not ask.streamed:
                    return _weighed_body(ask, request_id, await response.json()), 0.0
                text, error, done = await _read(ask, response)
        except Left:
            return Sight(request_id, End.LEFT, status), 0.0
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return Sight(request_id, End.LOST, status, repr(error)), 0.0
        if error and not done and ask.answer.startswith(text.rstrip()):
            return Sight(request_id, End.FAILED, status, error), 0.0
        if error or not done:
            return Sight(request_id, End.LOST, status, f"neither end nor error: {text[-80:]!r} {error}"), 0.0
        return Sight(request_id, *_weighed(ask, text, status)), 0.0


def _weighed_body(ask: Ask, request_id: str, body: dict[str, Any]) -> Sight:
    usage = body["usage"]
    weighed = _weighed(ask, body["choices"][0]["message"]["content"], 200)
    return Sight(request_id, *weighed, (usage["prompt_tokens"], usage["completion_tokens"]))


def _weighed(ask: Ask, text: str, status: int) -> tuple[End, int, str]:
    if text == ask.answer:
        return End.WHOLE, status, ""
    doubled = text.count(ask.answer.split()[0]) > ask.answer.count(ask.answer.split()[0])
    return End.DOUBLED if doubled else End.LOST, status, f"{text[:200]!r}"


def _refused_or_failed(request_id: str, response: aiohttp.ClientResponse, body: str) -> tuple[Sight, float]:
    status = response.status
    try:
        code = json.loads(body)["error"]["code"]
    except (ValueError, LookupError, TypeError):
        return Sight(request_id, End.LOST, status, f"no error in the dialect's words: {body[:100]!r}"), 0.0
    if status not in (429, 503):
        return Sight(request_id, End.FAILED, status, code), 0.0
    if not response.headers.get("Retry-After", "").isdigit():
        return Sight(request_id, End.LOST, status, f"{code} without a Retry-After"), 0.0
    return Sight(request_id, End.REFUSED, status, code), float(response.headers["Retry-After"])


async def _line(response: aiohttp.ClientResponse) -> bytes:
    """The next line, `BROKEN_OFF` where the connection breaks instead, nothing at the end."""
    try:
        return await response.content.readline()
    except aiohttp.ClientPayloadError:
        return BROKEN_OFF


async def _read(ask: Ask, response: aiohttp.ClientResponse) -> tuple[str, str, bool]:
    """The text of a stream, the error in it, and whether it came to its own end. Raises `Left`."""
    pieces: list[str] = []
    error, done = "", False
    while line := await _line(response):
        if line == BROKEN_OFF:
            error = line.decode()
            break
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
