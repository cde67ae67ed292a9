"""Tests for `/v1/compatibility` and `/v1/debug/request`, which report on a request and run no job."""

from typing import Any

import orjson
import pytest

from claude_gateway.dialects.openai_chat.parameters import PARAMETERS
from tests.claude_gateway.openapi.document_schemas import find_schema_errors, response_content
from tests.claude_gateway.scripted import CHAT_BODY, HELLO_EVENTS, MODEL, ScriptedWorkerSource
from tests.claude_gateway.web.conftest import Serve

KEY = "the key of the tests"
COMPATIBILITY_PATH, DEBUG_PATH = "/v1/compatibility", "/v1/debug/request"
RESPONSE = {"model": MODEL, "input": "hi"}
MESSAGE = {"model": MODEL, "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
GEMINI = {"contents": [{"parts": [{"text": "hi"}]}]}


@pytest.mark.parametrize(
    ("body", "headers", "query", "detected"),
    [
        (CHAT_BODY, {}, "", ("chat", "body")),
        (RESPONSE, {}, "", ("responses", "body")),
        (GEMINI, {}, "", ("gemini", "body")),
        ({**MESSAGE, "stop_sequences": ["END"]}, {}, "", ("messages", "body")),
        (MESSAGE, {"anthropic-version": "2023-06-01"}, "", ("messages", "header")),
        (MESSAGE, {}, "?dialect=anthropic", ("messages", "query")),
        (CHAT_BODY, {"anthropic-version": "2023-06-01"}, "?dialect=chat", ("chat", "query")),
    ],
)
@pytest.mark.parametrize("path", [COMPATIBILITY_PATH, DEBUG_PATH])
async def test_reports_the_detected_dialect(
    serve: Serve, path: str, body: Any, headers: dict[str, str], query: str, detected: tuple[str, str]
) -> None:
    response = await (await serve()).post(f"{path}{query}", json=body, headers=headers)

    report = await response.json()
    assert (report["dialect"], report["detected_by"]) == detected
    assert find_schema_errors(report, response_content(path, 200)["application/json"]["schema"]) == []


@pytest.mark.promise("compatibility.report")
async def test_reports_each_parameter_as_parsing_supports_it_without_a_job(serve: Serve) -> None:
    dispatcher = ScriptedWorkerSource.repeating(*HELLO_EVENTS)
    body = {**CHAT_BODY, "n": 2, "seed": 7, "presence_penalty": 0, "temprature": 1, "temperature": 1.5}
    client = await serve(dispatcher)

    report = await (await client.post(COMPATIBILITY_PATH, json=body)).json()

    reasons = {
        support: {parameter["name"]: parameter["reason"] for parameter in parameters}
        for support, parameters in report["parameters"].items()
    }
    assert reasons["supported"].keys() == {"model", "messages", "temperature", "presence_penalty"}
    assert reasons["emulated"] == {"n": PARAMETERS["n"][1]}
    assert reasons["ignored"] == {"seed": PARAMETERS["seed"][1], "temprature": "unknown parameter"}
    assert reasons["rejected"] == {}
    assert "seed: use `temperature` 0, which gives the most similar replies." in report["suggestions"]
    assert "temprature: did you mean temperature?" in report["suggestions"]
    assert (report["compatible"], dispatcher.jobs) == (True, [])
    response = await client.post("/v1/chat/completions", json=body)
    assert "; ".join(report["warnings"]) == response.headers["x-gateway-warnings"]


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({**RESPONSE, "conversation": "conv_1"}, "conversation"),
        ({**GEMINI, "cached_content": "cachedContents/1"}, "cachedContent"),
    ],
)
async def test_reports_errors_with_a_suggestion(serve: Serve, body: Any, name: str) -> None:
    report = await (await (await serve()).post(COMPATIBILITY_PATH, json=body)).json()

    assert [parameter["name"] for parameter in report["parameters"]["rejected"]] == [name]
    assert report["compatible"] is False
    assert name in report["error"]["message"]
    assert any(line.startswith(f"{name}: send") for line in report["suggestions"])


async def test_names_nested_gemini_field_by_its_path(serve: Serve) -> None:
    body = {**GEMINI, "generation_config": {"seed": 7, "thinkingConfig": {"new": 1}}, "safetySettings": []}

    report = await (await (await serve()).post(COMPATIBILITY_PATH, json=body)).json()

    assert [parameter["name"] for parameter in report["parameters"]["ignored"]] == [
        "generationConfig.seed",
        "generationConfig.thinkingConfig.new",
    ]


@pytest.mark.parametrize("path", [COMPATIBILITY_PATH, DEBUG_PATH])
async def test_reports_wrong_type_within_the_response(serve: Serve, path: str) -> None:
    response = await (await serve()).post(path, json={**CHAT_BODY, "temperature": 9})

    report = await response.json()
    assert response.status == 200
    assert report["error"]["details"][0]["field"] == "body -> temperature"


async def test_rejects_unknown_dialect_with_400_and_lists_the_known_ones(serve: Serve) -> None:
    response = await (await serve()).post(f"{COMPATIBILITY_PATH}?dialect=esperanto", json=CHAT_BODY)

    assert response.status == 400
    assert "chat, responses, messages, gemini" in (await response.json())["error"]["message"]


@pytest.mark.promise("debug.no-secrets")
async def test_shows_the_job_without_secrets(serve: Serve) -> None:
    secrets = ("sk-ant-0123456789abcdefghij", "AIza0123456789abcdefghijklmnop", "the cookie", "hunter2", KEY)
    body = {
        **CHAT_BODY,
        "messages": [
            {"role": "system", "content": f"Use {secrets[0]}, never {KEY}."},
            {"role": "user", "content": f"{'x' * 4_990} {secrets[1]} {'y' * 4_990}"},
        ],
        "metadata": {"password": "hunter2", "x-api-key": secrets[0]},
        "tools": [{"type": "function", "function": {"name": "f", "description": f"Bearer {KEY} {secrets[1]}"}}],
    }
    dispatcher = ScriptedWorkerSource.repeating(*HELLO_EVENTS)
    headers = {"Authorization": f"Bearer {KEY}", "Cookie": "a=the cookie", "X-Mine": KEY, "User-Agent": f"me {KEY}"}

    response = await (await serve(dispatcher, api_key=KEY)).post(DEBUG_PATH, json=body, headers=headers)

    text = await response.text()
    report = orjson.loads(text)
    assert response.status == 200
    assert [secret for secret in secrets if secret in text] == []
    assert not any(secret[: len(secret) // 2] in text for secret in secrets if len(secret) > 12)
    assert report["job"]["system"] == "Use [redacted], never [redacted]."
    assert report["job"]["turns"][0]["blocks"][0]["text"].startswith("xxxx")
    assert report["request"]["headers"]["user-agent"] == "me [redacted]"
    assert report["request"]["headers"]["authorization"] == "[redacted]"
    assert dispatcher.jobs == []


async def test_shortens_long_and_deep_values(serve: Serve) -> None:
    deep: Any = "the bottom"
    for _ in range(200):
        deep = {"a": deep}
    body = {**CHAT_BODY, "messages": [{"role": "user", "content": "word " * 10_000}], "metadata": deep}

    text = await (await (await serve()).post(DEBUG_PATH, json=body)).text()

    assert "(50000 characters)" in text
    assert "the bottom" not in text
    assert len(text) < 10_000


@pytest.mark.parametrize("before", ["", "Basic ", "eyJ", "eyJ" * 300, "x" * 900 + " "])
async def test_hides_signed_token_in_any_context(serve: Serve, before: str) -> None:
    token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"
    body = {**CHAT_BODY, "messages": [{"role": "user", "content": f"{before}{token} and more"}]}

    text = await (await (await serve()).post(DEBUG_PATH, json=body)).text()

    assert token[-12:] not in text
