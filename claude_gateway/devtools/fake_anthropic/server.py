"""Fake Anthropic API, a server on loopback that implements the Messages API without a model.

Directives in the prompts determine the replies, as the module `script` describes. The server records the requests, so
that tests can check the requests that a real model would receive. It listens only on loopback and accepts only
`FAKE_API_KEY`. If a program sends a real API key to this server by mistake, the server rejects the request. It neither
uses nor records the key.
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

from claude_gateway.devtools.fake_anthropic import token_count
from claude_gateway.devtools.fake_anthropic.coding_agent import build_agent_script
from claude_gateway.devtools.fake_anthropic.context_window import (
    MAX_BODY_BYTES,
    TOO_LARGE_MESSAGE,
    context_window_tokens,
    too_long_reason,
)
from claude_gateway.devtools.fake_anthropic.exact_json import dumps, loads
from claude_gateway.devtools.fake_anthropic.limit_headers import build_limit_headers, parse_windows
from claude_gateway.devtools.fake_anthropic.malformed import malformed_response
from claude_gateway.devtools.fake_anthropic.message import (
    FAULT_STAGES,
    MessageObject,
    build_message,
    encode_text_delta,
    stream_steps,
    stream_steps_until_fault,
)
from claude_gateway.devtools.fake_anthropic.prompt_cache import PromptCache
from claude_gateway.devtools.fake_anthropic.script import (
    Script,
    last_user_text,
    parse_script,
    truncate_at_context_window,
)
from claude_gateway.devtools.fake_anthropic.validation import first_problem

FAKE_API_KEY = "fake-key-of-no-value"
# The headers that the server adds to the response to a request.
_LIMIT_HEADERS = web.RequestKey("limit_headers", dict)
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
class RecordedRequest:
    """A request that the server has received. The times are values of `time.perf_counter`, in seconds.

    Attributes:
        path: The path with the query string.
        headers: The request headers.
        body: The parsed request body.
        raw: The exact bytes of the request body.
        disconnected: An event that the server sets if the client disconnects before the end of the response.
        ended: An event that the server sets when it has ended the response or the client has disconnected.
        received_at: The time at which the server received the request.
        ended_at: The time at which the server has ended the response or the client has disconnected; 0 before that.
        delta_sent_at: The times at which the server sent the text deltas.
        message: The message object of the reply; empty if the server rejected the request.
    """

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    raw: bytes = b""
    disconnected: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    received_at: float = field(default_factory=time.perf_counter)
    ended_at: float = 0.0
    delta_sent_at: list[float] = field(default_factory=list)
    message: MessageObject = field(default_factory=dict)

    @property
    def usage(self) -> dict[str, Any]:
        """The numbers of tokens in the reply. The dictionary is empty if the server rejected the request."""
        return dict(self.message.get("usage", {}))

    @property
    def is_probe(self) -> bool:
        """Whether this is a request for one token, with which the CLI checks that a model exists."""
        return self.body.get("max_tokens") == 1 and not self.body.get("stream")


class FakeAnthropic:
    """The server of the fake Anthropic API. It keeps the requests that it received.

    Args:
        record_requests: Whether the server keeps the requests. Benchmarks turn this off to save memory.

    Attributes:
        retired_models: The names of models for which the server rejects requests with status 404.
        requests: The requests that the server received, oldest first.
        model_checks_allowed: An event. As long as a test has cleared it, the server does not reply to requests with
            which the CLI checks a model name.
        accepted_keys: The keys and tokens with which the server accepts requests.
        limits_by_key: The limits of the subscription to which a key or token belongs, as in the directive `limits`. The
            server reports the limits with each response to this key or token, and rejects its requests with status 429
            if a window is rejected.
        url: The base URL of the server; "" before `start`.
    """

    def __init__(self, *, record_requests: bool = True) -> None:
        self._record_requests = record_requests
        self.retired_models: set[str] = set()
        self.requests: list[RecordedRequest] = []
        self._attempts: Counter[str] = Counter()
        self._prompt_cache = PromptCache()
        self._request_arrived = asyncio.Condition()
        self.model_checks_allowed = asyncio.Event()
        self.model_checks_allowed.set()
        self.accepted_keys: set[str] = {FAKE_API_KEY}
        self.limits_by_key: dict[str, str] = {}
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def start(self, port: int = 0) -> None:
        """Start the server on the address 127.0.0.1.

        Args:
            port: The port on which the server listens; 0 to choose a free port.
        """
        app = web.Application(client_max_size=1 << 30)
        app.router.add_post("/v1/messages", self._handle_messages)
        app.router.add_post("/v1/messages/count_tokens", self._handle_count_tokens)
        app.on_response_prepare.append(_add_limit_headers)
        # The APIs of Amazon and Google have other stream formats. The server records requests to these APIs and rejects
        # them.
        app.router.add_post("/model/{model}/invoke-with-response-stream", self._handle_cloud)
        app.router.add_post("/projects/{path:.*}", self._handle_cloud)
        app.router.add_route("*", "/{path:.*}", self._handle_unknown)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"

    async def stop(self) -> None:
        """Stop the server, and close all its connections."""
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def chat_requests(self) -> list[RecordedRequest]:
        """The recorded requests, without the requests with which the CLI checks a model name."""
        return [request for request in self.requests if not request.is_probe]

    def clear(self) -> None:
        """Remove the recorded requests, the attempt counts of scripted faults, and the content of the prompt cache."""
        self.requests.clear()
        self._attempts.clear()
        self._prompt_cache.clear()

    async def wait_for_request(self, matches: Callable[[RecordedRequest], bool] = lambda _: True) -> RecordedRequest:
        """Return the newest chat request that matches a condition. If no request matches, wait until one arrives.

        Args:
            matches: A function that returns whether a request matches. By default each request matches.
        """
        async with self._request_arrived:
            while True:
                for request in reversed(self.chat_requests):
                    if matches(request):
                        return request
                await self._request_arrived.wait()

    async def _handle_unknown(self, request: web.Request) -> web.Response:
        return _error_response(404, f"the fake Anthropic API has no {request.method} {request.path}")

    async def _handle_cloud(self, request: web.Request) -> web.Response:
        raw = await request.read()
        self.requests.append(RecordedRequest(request.path_qs, dict(request.headers), loads(raw), raw))
        return _error_response(400, "the fake Anthropic API does not support the streams of cloud providers")

    async def _handle_count_tokens(self, request: web.Request) -> web.Response:
        if not self._has_accepted_key(request):
            return _wrong_key_response()
        return web.json_response({"input_tokens": token_count.count_input_tokens(loads(await request.read()))})

    async def _handle_messages(self, request: web.Request) -> web.StreamResponse:
        if not self._has_accepted_key(request):
            return _wrong_key_response()
        raw = await request.read()
        if len(raw) > MAX_BODY_BYTES:
            return _error_response(413, TOO_LARGE_MESSAGE)
        try:
            body = loads(raw)
        except ValueError as error:
            return _error_response(400, f"The request body is not valid JSON: {error}")
        received = RecordedRequest(request.path_qs, dict(request.headers), body, raw)
        if self._record_requests:
            self.requests.append(received)
        async with self._request_arrived:
            self._request_arrived.notify_all()
        if body.get("model") in self.retired_models:
            return _error_response(404, f"model: {body['model']}")
        if problem := first_problem(body):
            return _error_response(400, problem)
        prompt = tuple(token_count.split_prompt(body))
        try:
            script = build_agent_script(body) or parse_script(body)
        except ValueError as error:
            return _error_response(400, str(error))
        context_window = script.context_window or context_window_tokens(request.headers)
        if problem := too_long_reason(body, token_count.total_tokens(prompt), context_window):
            return _error_response(400, problem)
        script = truncate_at_context_window(context_window - token_count.total_tokens(prompt), script)
        try:
            return await self._respond(request, received, script, prompt)
        except asyncio.CancelledError:
            received.disconnected.set()
            raise
        except ConnectionError:
            received.disconnected.set()
            return web.Response()  # the client has disconnected
        finally:
            received.ended_at = time.perf_counter()
            received.ended.set()

    def _has_accepted_key(self, request: web.Request) -> bool:
        key = _sent_key(request).encode()
        return any(hmac.compare_digest(key, accepted.encode()) for accepted in self.accepted_keys)

    async def _respond(
        self, request: web.Request, recorded: RecordedRequest, script: Script, prompt: Sequence[token_count.PromptBlock]
    ) -> web.StreamResponse:
        attempt_key = script.attempt_key or last_user_text(recorded.body)
        self._attempts[attempt_key] += 1
        if script.first_attempt is not None and self._attempts[attempt_key] == 1:
            script = script.first_attempt
        is_faulty = not script.fault_count or self._attempts[attempt_key] <= script.fault_count
        if recorded.is_probe:
            await self.model_checks_allowed.wait()
        if script.delay_seconds:
            await asyncio.sleep(script.delay_seconds)
        if windows := script.windows or parse_windows(self.limits_by_key.get(_sent_key(request), "")):
            if is_faulty:
                request[_LIMIT_HEADERS] = dict(build_limit_headers(windows, time.time()))
            if not script.windows and any(window.status == "rejected" for window in windows):
                return _error_response(429, "the limit of this login is reached")
        if script.status != 200 and is_faulty and not recorded.is_probe:
            return _error_response(
                script.status, script.status_message or f"scripted {script.status}", script.retry_after
            )
        recorded.message = message = build_message(
            recorded.body, script, self._prompt_cache.process_request(recorded.body, prompt)
        )
        if script.malformed and is_faulty and not recorded.is_probe:
            content_type, response_body = malformed_response(script.malformed, message, script)
            return web.Response(body=response_body, headers={"content-type": content_type})
        if not recorded.body.get("stream"):
            return await _send_body(request, message, script, is_faulty)
        return await _send_stream(request, recorded, script, is_faulty)


@asynccontextmanager
async def run_fake_anthropic(port: int = 0, *, record_requests: bool = True) -> AsyncIterator[FakeAnthropic]:
    """Run the server of the fake Anthropic API until the `async with` block ends.

    Args:
        port: The port on loopback on which the server listens; 0 to choose a free port.
        record_requests: Whether the server keeps the requests that it receives.
    """
    upstream = FakeAnthropic(record_requests=record_requests)
    await upstream.start(port)
    try:
        yield upstream
    finally:
        await upstream.stop()


async def _add_limit_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(request.get(_LIMIT_HEADERS, {}))


def _sent_key(request: web.Request) -> str:
    return request.headers.get("x-api-key") or request.headers.get("authorization", "").removeprefix("Bearer ")


def _wrong_key_response() -> web.Response:
    return _error_response(401, "this is a fake Anthropic API for tests and demos; it accepts no real key")


def _error_response(status: int, message: str, retry_after: str = "") -> web.Response:
    error = {"type": _ERROR_TYPES.get(status, "api_error"), "message": message}
    headers = {"retry-after": retry_after} if retry_after else {}
    return web.json_response({"type": "error", "error": error}, status=status, headers=headers)


async def _send_body(
    request: web.Request, message: MessageObject, script: Script, is_faulty: bool
) -> web.StreamResponse:
    if script.interruption is not None and is_faulty:
        if script.interruption.kind == "error":
            return _error_response(529, "Overloaded")
        _close_connection(request)
    return web.Response(body=dumps(message), content_type="application/json")


async def _send_stream(
    request: web.Request, recorded: RecordedRequest, script: Script, is_faulty: bool
) -> web.StreamResponse:
    message = recorded.message
    if script.interruption is not None and script.interruption.stage not in (
        "nothing",
        *(step.stage for step in stream_steps(message, script)),
    ):
        return _error_response(400, f"the scripted reply has no stage {script.interruption.stage!r}")
    response = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await response.prepare(request)
    unsent = b""  # events that the server has not yet written
    for step in stream_steps_until_fault(message, script) if is_faulty else stream_steps(message, script):
        if script.pace_seconds and step.is_delta:
            await response.write(unsent)
            await asyncio.sleep(script.pace_seconds)
            unsent = b""
        if step.stage == "text":
            recorded.delta_sent_at.append(time.perf_counter())
        stamped = script.timestamped and step.stage == "text"
        unsent += encode_text_delta(step.block_index, f"{time.monotonic_ns()} ") if stamped else step.data
        if step.stage in ("head", "text", *FAULT_STAGES):
            await response.write(unsent)
            unsent = b""
        if step.stage == "head" and script.silence_seconds:
            await asyncio.sleep(script.silence_seconds)
        if step.stage == "hanging":
            await asyncio.Event().wait()
        if step.stage == "broken":
            _close_connection(request)
    await response.write(unsent)
    return response


def _close_connection(request: web.Request) -> None:
    """Close the connection of a request, after the server has sent all data that it has written to the connection.

    The function does not call `abort()`, because `abort()` would discard data that the server has not sent yet.
    """
    assert request.transport is not None
    request.transport.close()
