"""Clients that behave in different ways, and their observations."""

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

from tests.e2e.faults.plan import ClientBehavior, PlannedRequest

STALL_SECONDS = 2.0
# Stands for an error code if the connection breaks instead of the stream ending.
CONNECTION_BROKEN = b"broken off"


class RequestEnd(Enum):
    """The end of a request for its client. LOST: without an end, or with something unexpected."""

    COMPLETE = "complete"
    REJECTED = "rejected"
    FAILED = "failed"
    DISCONNECTED = "disconnected"
    LOST = "lost"
    DUPLICATED = "duplicated"


@dataclass(frozen=True, slots=True)
class Observation:
    """The client's view of one attempt.

    `detail` is the code of an error or a description of an unexpected response. `tokens` are the input and output
    tokens, if the response named any.
    """

    request_id: str
    end: RequestEnd
    status: int
    detail: str = ""
    tokens: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The observations of all attempts of a request, the last of which counts.

    `duration_seconds` is the time from the first attempt to the end.
    """

    request: PlannedRequest
    observations: tuple[Observation, ...]
    duration_seconds: float

    @property
    def end(self) -> RequestEnd:
        return self.observations[-1].end

    @property
    def status(self) -> int:
        return self.observations[-1].status

    @property
    def detail(self) -> str:
        return self.observations[-1].detail


class ClientDisconnected(Exception):
    """The client has disconnected, as its plan says."""


@dataclass(slots=True)
class LoadClients:
    """Clients of the gateway at `url`.

    `max_attempts` limits the retries of a request that the gateway asked to retry. `active_request_counts` counts the
    requests of each key at the gateway, without those whose clients wait for a retry.
    """

    url: str
    http: aiohttp.ClientSession
    max_attempts: int = 20
    active_request_counts: Counter[str] = field(default_factory=Counter)

    async def send(self, request: PlannedRequest, api_key: str) -> Outcome:
        """Send a request, and send it again as long as the gateway asks the client to retry."""
        clock = asyncio.get_running_loop().time
        started_at = clock()
        observations: list[Observation] = []
        for attempt in range(1, self.max_attempts + 1):
            self.active_request_counts[api_key] += 1
            observation, delay_seconds = await self._send_once(request, api_key, f"{request.token}.{attempt}")
            self.active_request_counts[api_key] -= 1
            observations.append(observation)
            # After a scripted fault, a rejection by the upstream is the expected end.
            if observation.end is not RequestEnd.REJECTED or attempt == self.max_attempts or request.fault:
                break
            await asyncio.sleep(delay_seconds)
        return Outcome(request, tuple(observations), clock() - started_at)

    async def get_message_count(self, session_id: str, api_key: str) -> int:
        """Return the number of messages of a session, as the gateway reports it."""
        headers = {"authorization": f"Bearer {api_key}"}
        async with self.http.get(f"{self.url}/v1/sessions/{session_id}", headers=headers) as response:
            return (await response.json())["message_count"] if response.status == 200 else 0

    async def get_job_counts(self, api_key: str) -> dict[str, int]:
        """Return the number of jobs by result that the key may see."""
        headers = {"authorization": f"Bearer {api_key}"}
        async with self.http.get(f"{self.url}/v1/usage?group_by=result", headers=headers) as response:
            return {row["result"]: row["jobs"] for row in (await response.json())["data"]}

    async def _send_once(self, request: PlannedRequest, api_key: str, request_id: str) -> tuple[Observation, float]:
        """Send a request once, and return the observation with the seconds to wait before a retry."""
        status = 0
        try:
            headers = {"authorization": f"Bearer {api_key}", "x-request-id": request_id}
            async with self.http.post(
                f"{self.url}/v1/chat/completions", json=request.body(), headers=headers
            ) as response:
                status = response.status
                if response.headers.get("x-request-id") != request_id:
                    return Observation(
                        request_id, RequestEnd.LOST, status, "the response belongs to another request"
                    ), 0.0
                if status != 200:
                    return _observe_error(request_id, response, await response.text())
                if not request.is_stream:
                    return _observe_body(request, request_id, await response.json()), 0.0
                text, error, done = await _read_stream(request, response)
        except ClientDisconnected:
            return Observation(request_id, RequestEnd.DISCONNECTED, status), 0.0
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return Observation(request_id, RequestEnd.LOST, status, repr(error)), 0.0
        if error and not done and request.expected_text.startswith(text.rstrip()):
            return Observation(request_id, RequestEnd.FAILED, status, error), 0.0
        if error or not done:
            return Observation(
                request_id, RequestEnd.LOST, status, f"neither end nor error: {text[-80:]!r} {error}"
            ), 0.0
        return Observation(request_id, *_compare_text(request, text, status)), 0.0


def _observe_body(request: PlannedRequest, request_id: str, body: dict[str, Any]) -> Observation:
    usage = body["usage"]
    compared = _compare_text(request, body["choices"][0]["message"]["content"], 200)
    return Observation(request_id, *compared, (usage["prompt_tokens"], usage["completion_tokens"]))


def _compare_text(request: PlannedRequest, text: str, status: int) -> tuple[RequestEnd, int, str]:
    if text == request.expected_text:
        return RequestEnd.COMPLETE, status, ""
    is_duplicated = text.count(request.expected_text.split()[0]) > request.expected_text.count(
        request.expected_text.split()[0]
    )
    return RequestEnd.DUPLICATED if is_duplicated else RequestEnd.LOST, status, f"{text[:200]!r}"


def _observe_error(request_id: str, response: aiohttp.ClientResponse, body: str) -> tuple[Observation, float]:
    status = response.status
    try:
        code = json.loads(body)["error"]["code"]
    except (ValueError, LookupError, TypeError):
        return Observation(request_id, RequestEnd.LOST, status, f"not an error of the dialect: {body[:100]!r}"), 0.0
    if status not in (429, 503):
        return Observation(request_id, RequestEnd.FAILED, status, code), 0.0
    if not response.headers.get("Retry-After", "").isdigit():
        return Observation(request_id, RequestEnd.LOST, status, f"{code} without a Retry-After"), 0.0
    return Observation(request_id, RequestEnd.REJECTED, status, code), float(response.headers["Retry-After"])


async def _read_line(response: aiohttp.ClientResponse) -> bytes:
    """Return the next line, CONNECTION_BROKEN if the connection breaks, or b"" at the end."""
    try:
        return await response.content.readline()
    except aiohttp.ClientPayloadError:
        return CONNECTION_BROKEN


async def _read_stream(request: PlannedRequest, response: aiohttp.ClientResponse) -> tuple[str, str, bool]:
    """Return the text of a stream, the error in it, and whether it came to its regular end.

    Raises:
        ClientDisconnected: If the plan of the request says so.
    """
    pieces: list[str] = []
    error, done = "", False
    while line := await _read_line(response):
        if line == CONNECTION_BROKEN:
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
        if request.behavior is ClientBehavior.DISCONNECTS and len(pieces) > request.disconnect_after_chunks:
            raise ClientDisconnected
        if request.behavior is ClientBehavior.STALLS and len(pieces) == 2:
            await asyncio.sleep(STALL_SECONDS)
    return "".join(pieces), error, done


@asynccontextmanager
async def create_clients(url: str, *, timeout_seconds: float = 60.0) -> AsyncIterator[LoadClients]:
    """Yield clients with small buffers, so that the gateway notices a client that does not read."""

    def create_small_socket(address: tuple[object, ...]) -> socket.socket:
        client_socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        client_socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        return client_socket

    connector = aiohttp.TCPConnector(limit=0, socket_factory=create_small_socket, force_close=True)
    timeout = aiohttp.ClientTimeout(total=timeout_seconds)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, read_bufsize=16_384) as http:
        yield LoadClients(url, http)
