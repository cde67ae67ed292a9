"""`POST /v1/messages`, `count_tokens` and the models as Anthropic's own client sees them."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anthropic
import pytest
from pydantic import SecretStr

from claude_gateway.models.catalogue import CURRENT
from tests.claude_gateway.scripted import HELLO, MODEL, STARTED, ScriptedDispatcher
from tests.claude_gateway.web.conftest import Client, Serve
from workers.errors import ErrorKind, WorkerError
from workers.events import BlockStarted, TextDelta
from workers.job import ChatJob, Text, Tuning, Turn

pytestmark = pytest.mark.filterwarnings("ignore:The model .* is deprecated:DeprecationWarning")

PATH = "/v1/messages"
ASKED: dict[str, Any] = {"model": MODEL, "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
COUNTED: dict[str, Any] = {name: ASKED[name] for name in ("model", "messages")}
STRANGE = {"model": "llama-x"}


@asynccontextmanager
async def official(client: Client, **options: Any) -> AsyncIterator[anthropic.AsyncAnthropic]:
    direct = anthropic.DefaultAsyncHttpxClient(trust_env=False)
    url = str(client.make_url(""))
    async with anthropic.AsyncAnthropic(
        **{"base_url": url, "api_key": "any", "max_retries": 0, "http_client": direct, **options}
    ) as connected:
        yield connected


async def test_a_message_names_the_model_asked_for_and_the_request(serve: Serve) -> None:
    async with official(await serve()) as client:
        message = await client.messages.create(**ASKED)

    assert (message.model, message.stop_reason, message.content[0].text) == (MODEL, "end_turn", "Hello")
    assert message.id.startswith("msg_")
    assert message._request_id


async def test_a_stream_adds_up_to_the_message(serve: Serve) -> None:
    async with official(await serve()) as client, client.messages.stream(**ASKED) as stream:
        pieces = [piece async for piece in stream.text_stream]
        message = await stream.get_final_message()

    assert pieces == ["Hel", "lo"]
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
async def test_any_version_beta_and_key_header_will_do(serve: Serve, path: str, headers: dict[str, str]) -> None:
    client = await serve(api_key=SecretStr("the-key"))

    response = await client.post(path, json=ASKED, headers=headers)

    assert response.status == 200
    assert response.headers["request-id"] == response.headers["x-request-id"]


async def test_without_a_limit_the_answer_has_none_of_its_own(serve: Serve) -> None:
    dispatcher = ScriptedDispatcher.always(*HELLO)
    client = await serve(dispatcher)

    response = await client.post(PATH, json=COUNTED)

    assert response.status == 200
    assert dispatcher.jobs == [ChatJob("local", MODEL, (Turn("user", (Text("hi"),)),), tuning=Tuning())]


async def test_what_is_not_done_is_named_and_refuses_nothing(serve: Serve) -> None:
    client = await serve()
    more = {
        "mcp_servers": [{"type": "url", "url": "https://x", "name": "x"}],
        "container": "c1",
        "service_tier": "standard_only",
        "metadata": {"user_id": "u"},
        "thinking": {"type": "between_tools", "display": "sideways"},
        "a_field_of_tomorrow": 1,
    }

    response = await client.post(PATH, json={**ASKED, **more})

    assert response.status == 200
    warnings = response.headers["x-gateway-warnings"]
    assert all(f"{name}" in warnings for name in more)


@pytest.mark.parametrize(
    ("kind", "raised", "type_"),
    [
        (ErrorKind.INVALID_REQUEST, anthropic.BadRequestError, "invalid_request_error"),
        (ErrorKind.TOO_LONG, anthropic.BadRequestError, "invalid_request_error"),
        (ErrorKind.MODEL_NOT_FOUND, anthropic.NotFoundError, "not_found_error"),
        (ErrorKind.TOO_LARGE, anthropic.RequestTooLargeError, "request_too_large"),
        (ErrorKind.RATE_LIMITED, anthropic.RateLimitError, "rate_limit_error"),
        (ErrorKind.QUEUE_FULL, anthropic.RateLimitError, "rate_limit_error"),
        (ErrorKind.OVERLOADED, anthropic.OverloadedError, "overloaded_error"),
        (ErrorKind.LOGIN, anthropic.ServiceUnavailableError, "authentication_error"),
        (ErrorKind.UPSTREAM, anthropic.InternalServerError, "api_error"),
        (ErrorKind.TIMEOUT, anthropic.GatewayTimeoutError, "timeout_error"),
    ],
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_failure_is_the_official_client_s_own_exception(
    serve: Serve, kind: ErrorKind, raised: type[anthropic.APIStatusError], type_: str, stream: bool
) -> None:
    client = await serve(ScriptedDispatcher.always(WorkerError(kind, "What happened.")))

    async with official(client) as connected:
        with pytest.raises(raised, match="What happened") as caught:
            await connected.messages.create(**ASKED, stream=stream)

    assert (type(caught.value), caught.value.type) == (raised, type_)
    assert caught.value.request_id == caught.value.body["request_id"]  # type: ignore[index]
    assert ("retry-after" in caught.value.response.headers) is (caught.value.status_code in (429, 503, 529))


async def test_a_failure_behind_the_head_is_an_event_and_no_silent_end(serve: Serve) -> None:
    steps = [STARTED, BlockStarted(Text("")), TextDelta("Hel"), WorkerError(ErrorKind.TIMEOUT, "What happened.")]
    client = await serve(ScriptedDispatcher.always(*steps))
    seen: list[str] = []

    async def read(stream: Any) -> None:
        async for event in stream:
            seen.append(event.type)  # noqa: PERF401 - what came before the failure counts

    async with official(client) as connected:
        stream = await connected.messages.create(**ASKED, stream=True)
        with pytest.raises(anthropic.APIStatusError, match="What happened"):
            await read(stream)

    assert seen == ["message_start", "content_block_start", "content_block_delta", "content_block_stop"]


async def test_a_wrong_shape_is_told_with_its_field(serve: Serve) -> None:
    async with official(await serve()) as client:
        with pytest.raises(anthropic.BadRequestError, match="max_tokens: Input should be between 1 and") as caught:
            await client.messages.create(**{**ASKED, "max_tokens": 0})

    assert caught.value.type == "invalid_request_error"
    assert "body -> max_tokens" in str(caught.value.body)


@pytest.mark.parametrize(
    ("ask", "raised", "type_"),
    [
        (lambda client: client.messages.create(**{**ASKED, **STRANGE}), anthropic.NotFoundError, "not_found"),
        (
            lambda client: client.messages.count_tokens(**{**COUNTED, **STRANGE}),
            anthropic.NotFoundError,
            "not_found",
        ),
        (lambda client: client.models.retrieve("claude-of-tomorrow"), anthropic.NotFoundError, "not_found"),
        (lambda client: client.models.list(limit=0), anthropic.BadRequestError, "invalid_request"),
    ],
    ids=["message", "count", "model", "models"],
)
async def test_what_is_not_there_is_told_in_the_dialect_s_shape(
    serve: Serve, ask: Callable[[anthropic.AsyncAnthropic], Any], raised: type[Exception], type_: str
) -> None:
    async with official(await serve()) as client:
        with pytest.raises(raised) as caught:
            await ask(client)

    assert caught.value.type == f"{type_}_error"  # type: ignore[attr-defined]


async def test_a_wrong_key_is_told_in_the_dialect_s_shape_on_every_path_of_it(serve: Serve) -> None:
    async with official(await serve(api_key=SecretStr("the-key")), api_key="another") as client:
        for ask in (
            lambda: client.messages.create(**ASKED),
            lambda: client.messages.count_tokens(**COUNTED),
            lambda: client.models.list(),
            lambda: client.models.retrieve(CURRENT["opus"]),
        ):
            with pytest.raises(anthropic.AuthenticationError) as caught:
                await ask()
            assert caught.value.type == "authentication_error"


async def test_counting_asks_for_no_worker(serve: Serve) -> None:
    dispatcher = ScriptedDispatcher([])
    async with official(await serve(dispatcher)) as client:
        count = await client.messages.count_tokens(**COUNTED, tools=[], system="x")
        beta = await client.beta.messages.count_tokens(**COUNTED)

    assert count.input_tokens >= beta.input_tokens > 0
    assert dispatcher.jobs == []


async def test_the_models_come_in_pages_and_one_by_one(serve: Serve) -> None:
    async with official(await serve()) as client:
        ids = [model.id async for model in client.models.list(limit=2)]
        one = await client.models.retrieve("claude-sonnet-4-5")

    assert ids == [*CURRENT.values(), MODEL]
    assert (one.id, one.display_name, one.lifecycle) == (MODEL, "Claude Sonnet 4.5", "active")
