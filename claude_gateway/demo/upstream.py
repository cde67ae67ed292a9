"""The stand-in Anthropic API: the Messages API on loopback, scripted by what is asked (`script.py`).

It records what it received, so that a test asserts on the request the model would have seen. It serves
loopback alone and takes no key but its own: a real one that strays here is refused, never used or kept.
"""

import asyncio
import hmac
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from claude_gateway.demo import tokens
from claude_gateway.demo.agent import agent_script
from claude_gateway.demo.exact_json import dumps, loads
from claude_gateway.demo.lies import lie
from claude_gateway.demo.limits import MAX_BODY_BYTES, TOO_LARGE, over_long, window
from claude_gateway.demo.message import FAULTS, Message, steps, text_delta, until_fault, whole_message
from claude_gateway.demo.prompt_cache import PromptCache
from claude_gateway.demo.refusals import refusal
from claude_gateway.demo.script import Script, ending_at, last_user_text, plan

STAND_IN_KEY = "stand-in-key-of-no-value"
_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    529: "overloaded_error",
}


@dataclass(slots=True)
class Received:
    """One request as it came in, `body` parsed and `raw` to the byte.

    `left` is set when its connection ended before the answer did. `at` is when it came, `sent` when each delta
    went out, by `time.perf_counter`. `answer` is empty where it was refused.
    """

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    raw: bytes = b""
    left: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    at: float = field(default_factory=time.perf_counter)
    sent: list[float] = field(default_factory=list)
    answer: Message = field(default_factory=dict)

    @property
    def usage(self) -> dict[str, Any]:
        return dict(self.answer.get("usage", {}))

    @property
    def is_probe(self) -> bool:
        """True for the one-token request by which the CLI checks a model name."""
        return self.body.get("max_tokens") == 1 and not self.body.get("stream")


class StandIn:
    """The server and its memory. `url` is valid between `start` and `stop`; a bench has it remember nothing.
    `retired` are names of models that it does not know; while `checks` is not set, nobody learns whether it does."""

    def __init__(self, *, remember: bool = True) -> None:
        self._remember = remember
        self.retired: set[str] = set()
        self.received: list[Received] = []
        self._attempts: Counter[str] = Counter()
        self._cache = PromptCache()
        self._arrival = asyncio.Condition()
        self.checks = asyncio.Event()
        self.checks.set()
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def start(self, port: int = 0) -> None:
        """Listen on 127.0.0.1, nowhere else; `port` 0 takes a free one."""
        app = web.Application(client_max_size=1 << 30)
        app.router.add_post("/v1/messages", self._messages)
        app.router.add_post("/v1/messages/count_tokens", self._count_tokens)
        # Amazon's and Google's, whose streams have other forms: they are recorded, and refused.
        app.router.add_post("/model/{model}/invoke-with-response-stream", self._cloud)
        app.router.add_post("/projects/{path:.*}", self._cloud)
        app.router.add_route("*", "/{path:.*}", self._unknown)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def chats(self) -> list[Received]:
        """What was received, without the CLI's own checks of a model name."""
        return [request for request in self.received if not request.is_probe]

    def forget(self) -> None:
        self.received.clear()
        self._attempts.clear()
        self._cache.forget()

    async def arrived(self, wanted: Callable[[Received], bool] = lambda _: True) -> Received:
        """The newest chat request that fits, waiting for it if need be."""
        async with self._arrival:
            while True:
                for request in reversed(self.chats):
                    if wanted(request):
                        return request
                await self._arrival.wait()

    async def _unknown(self, request: web.Request) -> web.Response:
        return _failure(404, f"the stand-in has no {request.method} {request.path}")

    async def _cloud(self, request: web.Request) -> web.Response:
        raw = await request.read()
        self.received.append(Received(request.path_qs, dict(request.headers), loads(raw), raw))
        return _failure(400, "the stand-in has no cloud's stream")

    async def _count_tokens(self, request: web.Request) -> web.Response:
        if not _has_our_key(request):
            return _foreign_key()
        return web.json_response({"input_tokens": tokens.count(loads(await request.read()))})

    async def _messages(self, request: web.Request) -> web.StreamResponse:
        if not _has_our_key(request):
            return _foreign_key()
        raw = await request.read()
        if len(raw) > MAX_BODY_BYTES:
            return _failure(413, TOO_LARGE)
        try:
            body = loads(raw)
        except ValueError as error:
            return _failure(400, f"The request body is not valid JSON: {error}")
        received = Received(request.path_qs, dict(request.headers), body, raw)
        if self._remember:
            self.received.append(received)
        async with self._arrival:
            self._arrival.notify_all()
        if body.get("model") in self.retired:
            return _failure(404, f"model: {body['model']}")
        if complaint := refusal(body):
            return _failure(400, complaint)
        prompt = tuple(tokens.pieces(body))
        try:
            script = agent_script(body) or plan(body)
        except ValueError as error:
            return _failure(400, str(error))
        most = script.window or window(request.headers)
        if complaint := over_long(body, tokens.tokens_of(prompt), most):
            return _failure(400, complaint)
        script = ending_at(most - tokens.tokens_of(prompt), script)
        try:
            return await self._perform(request, received, script, prompt)
        except asyncio.CancelledError:
            received.left.set()
            raise
        except ConnectionError:
            received.left.set()
            return web.Response()  # nobody is there to read it
        finally:
            received.ended.set()

    async def _perform(
        self, request: web.Request, received: Received, script: Script, prompt: Sequence[tokens.Piece]
    ) -> web.StreamResponse:
        key = script.key or last_user_text(received.body)
        self._attempts[key] += 1
        if script.first is not None and self._attempts[key] == 1:
            script = script.first
        faulty = not script.times or self._attempts[key] <= script.times
        if received.is_probe:
            await self.checks.wait()
        if script.delay:
            await asyncio.sleep(script.delay)
        if script.status != 200 and faulty and not received.is_probe:
            return _failure(script.status, script.status_message or f"scripted {script.status}", script.retry_after)
        received.answer = message = whole_message(received.body, script, self._cache.take(received.body, prompt))
        if script.lie and faulty and not received.is_probe:
            content_type, said = lie(script.lie, message, script)
            return web.Response(body=said, headers={"content-type": content_type})
        if not received.body.get("stream"):
            return await _whole(request, message, script, faulty)
        return await _stream(request, received, script, faulty)


@asynccontextmanager
async def stand_in(port: int = 0, *, remember: bool = True) -> AsyncIterator[StandIn]:
    """A running stand-in for the length of a `with`."""
    upstream = StandIn(remember=remember)
    await upstream.start(port)
    try:
        yield upstream
    finally:
        await upstream.stop()


def _has_our_key(request: web.Request) -> bool:
    key = request.headers.get("x-api-key") or request.headers.get("authorization", "").removeprefix("Bearer ")
    return hmac.compare_digest(key.encode(), STAND_IN_KEY.encode())


def _foreign_key() -> web.Response:
    return _failure(401, "this is a stand-in for tests and demos; it takes no real key")


def _failure(status: int, message: str, retry_after: str = "") -> web.Response:
    error = {"type": _ERROR_TYPES.get(status, "api_error"), "message": message}
    headers = {"retry-after": retry_after} if retry_after else {}
    return web.json_response({"type": "error", "error": error}, status=status, headers=headers)


async def _whole(request: web.Request, message: Message, script: Script, faulty: bool) -> web.StreamResponse:
    if script.early is not None and faulty:
        if script.early.how == "error":
            return _failure(529, "Overloaded")
        _cut(request)
    return web.Response(body=dumps(message), content_type="application/json")


async def _stream(request: web.Request, received: Received, script: Script, faulty: bool) -> web.StreamResponse:
    message = received.answer
    if script.early is not None and script.early.stage not in ("nothing", *(s.stage for s in steps(message, script))):
        return _failure(400, f"this answer has no stage {script.early.stage!r}")
    response = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await response.prepare(request)
    waiting = b""  # what goes out in one write
    for step in until_fault(message, script) if faulty else steps(message, script):
        if script.pace and step.is_delta:
            await response.write(waiting)
            await asyncio.sleep(script.pace)
            waiting = b""
        if step.stage == "text":
            received.sent.append(time.perf_counter())
        stamped = script.stamped and step.stage == "text"
        waiting += text_delta(step.index, f"{time.monotonic_ns()} ") if stamped else step.data
        if step.stage in ("head", "text", *FAULTS):
            await response.write(waiting)
            waiting = b""
        if step.stage == "head" and script.silence:
            await asyncio.sleep(script.silence)
        if step.stage == "hanging":
            await asyncio.Event().wait()
        if step.stage == "broken":
            _cut(request)
    await response.write(waiting)
    return response


def _cut(request: web.Request) -> None:
    """Close the connection behind what was written: `abort()` would lose it."""
    assert request.transport is not None
    request.transport.close()
