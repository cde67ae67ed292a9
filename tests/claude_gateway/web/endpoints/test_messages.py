"""Tests for `POST /v1/messages`, `count_tokens` and the models with Anthropic's official client."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anthropic
import pytest
from pydantic import SecretStr

from claude_gateway.model_catalog.catalog import DEFAULT_FAMILY_MODELS
from tests.claude_gateway.scripted import HELLO_EVENTS, MODEL, STARTED, ScriptedWorkerSource
from tests.claude_gateway.web.conftest import Client, Serve
from workers.core.errors import ErrorKind, WorkerError
from workers.core.events import BlockStarted, TextDelta
from workers.core.job import ChatJob, GenerationParams, Text, Turn

pytestmark = pytest.mark.filterwarnings("ignore:The model .* is deprecated:DeprecationWarning")

PATH = "/v1/messages"
REQUEST: dict[str, Any] = {"model": MODEL, "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
COUNT_REQUEST: dict[str, Any] = {name: REQUEST[name] for name in ("model", "messages")}
UNKNOWN_MODEL = {"model": "llama-x"}


@asynccontextmanager
async def official_client(client: Client, **options: Any) -> AsyncIterator[anthropic.AsyncAnthropic]:
    """Connect Anthropic's official client to the gateway of a test client."""
    http_client = anthropic.DefaultAsyncHttpxClient(trust_env=False)
    url = str(client.make_url(""))
    async with anthropic.AsyncAnthropic(
        **{"base_url": url, "api_key": "any", "max_retries": 0, "http_client": http_client, **options}
    ) as anthropic_client:
        yield anthropic_client


async def test_message_names_the_requested_model_and_the_request_id(serve: Serve) -> None:
    async with official_client(await serve()) as client:
        message = await client.messages.create(**REQUEST)

    assert (message.model, message.stop_reason, message.content[0].text) == (MODEL, "end_turn", "Hello")
    assert message.id.startswith("msg_")
    assert message._request_id


async def test_stream_adds_up_to_the_message(serve: Serve) -> None:
    async with official_client(await serve()) as client, client.messages.stream(**REQUEST) as stream:
        texts = [text async for text in stream.text_stream]
        message = await stream.get_final_message()

    assert texts == ["Hel", "lo"]
    assert (message.content[0].text, message.stop_reason, message.usage.output_tokens) == ("Hello", "end_turn", 2)


@pytest.mark.parametrize("path", [PATH, f"{PATH}?beta=true", "/messages", "/messages?beta=true"])
@pytest.mark.parametrize(
    "headers",
    [
        {"x-api-key": "the-key", "anthropic-version": "2023-06-01"},
        {"authorization": "Bearer the-key", "anthropic-version": "2026-10-21", "anthropic-beta": "a,a,tomorrow-2027"},
        {"x-api-key": "the-key"},
    ],
    ids=["old", "new", "bare"],
)
async def test_accepts_any_version_beta_and_key_header(serve: Serve, path: str, headers: dict[str, str]) -> None:
    client = await serve(api_key=SecretStr("the-key"))

    response = await client.post(path, json=REQUEST, headers=headers)

    assert response.status == 200
    assert response.headers["request-id"] == response.headers["x-request-id"]


async def test_request_without_max_tokens_gets_no_limit(serve: Serve) -> None:
    dispatcher = ScriptedWorkerSource.repeating(*HELLO_EVENTS)
    client = await serve(dispatcher)

    response = await client.post(PATH, json=COUNT_REQUEST)

    assert response.status == 200
    assert dispatcher.jobs == [ChatJob("local", MODEL, (Turn("user", (Text("hi"),)),), params=GenerationParams())]


async def test_names_unsupported_parameters_and_rejects_none(serve: Serve) -> None:
    client = await serve()
    unsupported = {
        "mcp_servers": [{"type": "url", "url": "https://x", "name": "x"}],
        "container": "c1",
        "service_tier": "standard_only",
        "metadata": {"user_id": "u"},
        "thinking": {"type": "between_tools", "display": "sideways"},
        "a_field_of_tomorrow": 1,
    }

    response = await client.post(PATH, json={**REQUEST, **unsupported})

    assert response.status == 200
    warnings = response.headers["x-gateway-warnings"]
    assert all(f"{name}" in warnings for name in unsupported)


@pytest.mark.parametrize(
    ("kind", "raised", "type_"),
    [
        (ErrorKind.INVALID_REQUEST, anthropic.BadRequestError, "invalid_request_error"),
        (ErrorKind.CONTEXT_LENGTH_EXCEEDED, anthropic.BadRequestError, "invalid_request_error"),
        (ErrorKind.MODEL_NOT_FOUND, anthropic.NotFoundError, "not_found_error"),
        (ErrorKind.REQUEST_TOO_LARGE, anthropic.RequestTooLargeError, "request_too_large"),
        (ErrorKind.RATE_LIMITED, anthropic.RateLimitError, "rate_limit_error"),
        (ErrorKind.QUEUE_FULL, anthropic.RateLimitError, "rate_limit_error"),
        (ErrorKind.OVERLOADED, anthropic.OverloadedError, "overloaded_error"),
        (ErrorKind.AUTHENTICATION, anthropic.ServiceUnavailableError, "authentication_error"),
        (ErrorKind.UPSTREAM_ERROR, anthropic.InternalServerError, "api_error"),
        (ErrorKind.TIMEOUT, anthropic.GatewayTimeoutError, "timeout_error"),
    ],
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_failure_is_the_exception_of_the_official_client(
    serve: Serve, kind: ErrorKind, raised: type[anthropic.APIStatusError], type_: str, stream: bool
) -> None:
    client = await serve(ScriptedWorkerSource.repeating(WorkerError(kind, "What happened.")))

    async with official_client(client) as anthropic_client:
        with pytest.raises(raised, match="What happened") as caught:
            await anthropic_client.messages.create(**REQUEST, stream=stream)

    assert (type(caught.value), caught.value.type) == (raised, type_)
    assert caught.value.request_id == caught.value.body["request_id"]  # type: ignore[index]
    assert ("retry-after" in caught.value.response.headers) is (caught.value.status_code in (429, 503, 529))


async def test_failure_after_the_head_is_an_error_event(serve: Serve) -> None:
    steps = [STARTED, BlockStarted(Text("")), TextDelta("Hel"), WorkerError(ErrorKind.TIMEOUT, "What happened.")]
    client = await serve(ScriptedWorkerSource.repeating(*steps))
    event_types: list[str] = []

    async def read(stream: Any) -> None:
        async for event in stream:
            event_types.append(event.type)  # noqa: PERF401 - keeps the events before the failure

    async with official_client(client) as anthropic_client:
        stream = await anthropic_client.messages.create(**REQUEST, stream=True)
        with pytest.raises(anthropic.APIStatusError, match="What happened"):
            await read(stream)

    assert event_types == ["message_start", "content_block_start", "content_block_delta", "content_block_stop"]


async def test_rejects_wrong_type_and_names_the_field(serve: Serve) -> None:
    async with official_client(await serve()) as client:
        with pytest.raises(anthropic.BadRequestError, match="max_tokens: Input should be between 1 and") as caught:
            await client.messages.create(**{**REQUEST, "max_tokens": 0})

    assert caught.value.type == "invalid_request_error"
    assert "body -> max_tokens" in str(caught.value.body)


@pytest.mark.parametrize(
    ("call", "raised", "type_"),
    [
        (lambda client: client.messages.create(**{**REQUEST, **UNKNOWN_MODEL}), anthropic.NotFoundError, "not_found"),
        (
            lambda client: client.messages.count_tokens(**{**COUNT_REQUEST, **UNKNOWN_MODEL}),
            anthropic.NotFoundError,
            "not_found",
        ),
        (lambda client: client.models.retrieve("claude-of-tomorrow"), anthropic.NotFoundError, "not_found"),
        (lambda client: client.models.list(limit=0), anthropic.BadRequestError, "invalid_request"),
    ],
    ids=["message", "count", "model", "models"],
)
async def test_unknown_path_or_model_has_the_error_format_of_the_dialect(
    serve: Serve, call: Callable[[anthropic.AsyncAnthropic], Any], raised: type[Exception], type_: str
) -> None:
    async with official_client(await serve()) as client:
        with pytest.raises(raised) as caught:
            await call(client)

    assert caught.value.type == f"{type_}_error"  # type: ignore[attr-defined]


async def test_wrong_key_has_the_error_format_of_the_dialect_on_all_its_paths(serve: Serve) -> None:
    async with official_client(await serve(api_key=SecretStr("the-key")), api_key="another") as client:
        for call in (
            lambda: client.messages.create(**REQUEST),
            lambda: client.messages.count_tokens(**COUNT_REQUEST),
            lambda: client.models.list(),
            lambda: client.models.retrieve(DEFAULT_FAMILY_MODELS["opus"]),
        ):
            with pytest.raises(anthropic.AuthenticationError) as caught:
                await call()
            assert caught.value.type == "authentication_error"


async def test_counts_tokens_without_a_worker(serve: Serve) -> None:
    dispatcher = ScriptedWorkerSource([])
    async with official_client(await serve(dispatcher)) as client:
        count = await client.messages.count_tokens(**COUNT_REQUEST, tools=[], system="x")
        beta = await client.beta.messages.count_tokens(**COUNT_REQUEST)

    assert count.input_tokens >= beta.input_tokens > 0
    assert dispatcher.jobs == []


async def test_lists_models_in_pages_and_singly(serve: Serve) -> None:
    async with official_client(await serve()) as client:
        ids = [listed.id async for listed in client.models.list(limit=2)]
        model = await client.models.retrieve("claude-sonnet-4-5")

    assert ids == [*DEFAULT_FAMILY_MODELS.values(), MODEL]
    assert (model.id, model.display_name, model.lifecycle) == (MODEL, "Claude Sonnet 4.5", "active")
