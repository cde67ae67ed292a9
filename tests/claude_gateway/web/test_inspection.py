"""`/v1/compatibility` and `/v1/debug/request`: what would become of a request, and nobody is asked."""

from typing import Any

import orjson
import pytest

from claude_gateway.dialects.openai_chat.parameters import PARAMETERS
from tests.claude_gateway.openapi.written import answered, complaints
from tests.claude_gateway.scripted import CHAT, HELLO, MODEL, ScriptedDispatcher
from tests.claude_gateway.web.conftest import Serve

KEY = "the key of the tests"
REPORT, DEBUG = "/v1/compatibility", "/v1/debug/request"
RESPONSE = {"model": MODEL, "input": "hi"}
MESSAGE = {"model": MODEL, "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
GEMINI = {"contents": [{"parts": [{"text": "hi"}]}]}


@pytest.mark.parametrize(
    ("sent", "headers", "query", "told"),
    [
        (CHAT, {}, "", ("chat", "body")),
        (RESPONSE, {}, "", ("responses", "body")),
        (GEMINI, {}, "", ("gemini", "body")),
        ({**MESSAGE, "stop_sequences": ["END"]}, {}, "", ("messages", "body")),
        (MESSAGE, {"anthropic-version": "2023-06-01"}, "", ("messages", "header")),
        (MESSAGE, {}, "?dialect=anthropic", ("messages", "query")),
        (CHAT, {"anthropic-version": "2023-06-01"}, "?dialect=chat", ("chat", "query")),
    ],
)
@pytest.mark.parametrize("path", [REPORT, DEBUG])
async def test_it_says_whose_request_it_took_it_for(
    serve: Serve, path: str, sent: Any, headers: dict[str, str], query: str, told: tuple[str, str]
) -> None:
    answer = await (await serve()).post(f"{path}{query}", json=sent, headers=headers)

    body = await answer.json()
    assert (body["dialect"], body["told_by"]) == told
    assert complaints(body, answered(path, 200)["application/json"]["schema"]) == []


@pytest.mark.promise("compatibility.report")
async def test_each_parameter_is_reported_as_parsing_treats_it_and_nobody_is_asked(serve: Serve) -> None:
    dispatcher = ScriptedDispatcher.always(*HELLO)
    sent = {**CHAT, "n": 2, "seed": 7, "presence_penalty": 0, "temprature": 1, "temperature": 1.5}
    client = await serve(dispatcher)

    body = await (await client.post(REPORT, json=sent)).json()

    named = {kind: {one["name"]: one["reason"] for one in found} for kind, found in body["parameters"].items()}
    assert named["honoured"].keys() == {"model", "messages", "temperature", "presence_penalty"}
    assert named["emulated"] == {"n": PARAMETERS["n"][1]}
    assert named["ignored"] == {"seed": PARAMETERS["seed"][1], "temprature": "unknown parameter"}
    assert named["refused"] == {}
    assert "seed: `temperature` 0 comes nearest to the same answer each time." in body["suggestions"]
    assert "temprature: is temperature meant?" in body["suggestions"]
    assert (body["compatible"], dispatcher.jobs) == (True, [])
    asked = await client.post("/v1/chat/completions", json=sent)
    assert "; ".join(body["warnings"]) == asked.headers["x-gateway-warnings"]


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ({**RESPONSE, "conversation": "conv_1"}, "conversation"),
        ({**GEMINI, "cached_content": "cachedContents/1"}, "cachedContent"),
    ],
)
async def test_what_would_be_refused_is_told_with_what_to_do_instead(serve: Serve, sent: Any, name: str) -> None:
    body = await (await (await serve()).post(REPORT, json=sent)).json()

    assert [one["name"] for one in body["parameters"]["refused"]] == [name]
    assert body["compatible"] is False
    assert name in body["error"]["message"]
    assert any(line.startswith(f"{name}: send") for line in body["suggestions"])


async def test_what_stands_deep_in_a_gemini_request_is_named_by_its_place(serve: Serve) -> None:
    sent = {**GEMINI, "generation_config": {"seed": 7, "thinkingConfig": {"new": 1}}, "safetySettings": []}

    body = await (await (await serve()).post(REPORT, json=sent)).json()

    assert [one["name"] for one in body["parameters"]["ignored"]] == [
        "generationConfig.seed",
        "generationConfig.thinkingConfig.new",
    ]


@pytest.mark.parametrize("path", [REPORT, DEBUG])
async def test_a_wrong_shape_is_told_inside_the_answer(serve: Serve, path: str) -> None:
    answer = await (await serve()).post(path, json={**CHAT, "temperature": 9})

    body = await answer.json()
    assert answer.status == 200
    assert body["error"]["details"][0]["field"] == "body -> temperature"


async def test_a_dialect_that_is_none_is_a_400_that_names_those_that_are(serve: Serve) -> None:
    answer = await (await serve()).post(f"{REPORT}?dialect=esperanto", json=CHAT)

    assert answer.status == 400
    assert "chat, responses, messages, gemini" in (await answer.json())["error"]["message"]


@pytest.mark.promise("debug.no-secrets")
async def test_the_job_is_shown_and_no_secret_with_it(serve: Serve) -> None:
    secrets = ("sk-ant-0123456789abcdefghij", "AIza0123456789abcdefghijklmnop", "the cookie", "hunter2", KEY)
    sent = {
        **CHAT,
        "messages": [
            {"role": "system", "content": f"Use {secrets[0]}, never {KEY}."},
            {"role": "user", "content": f"{'x' * 4_990} {secrets[1]} {'y' * 4_990}"},
        ],
        "metadata": {"password": "hunter2", "x-api-key": secrets[0]},
        "tools": [{"type": "function", "function": {"name": "f", "description": f"Bearer {KEY} {secrets[1]}"}}],
    }
    dispatcher = ScriptedDispatcher.always(*HELLO)
    headers = {"Authorization": f"Bearer {KEY}", "Cookie": "a=the cookie", "X-Mine": KEY, "User-Agent": f"me {KEY}"}

    answer = await (await serve(dispatcher, api_key=KEY)).post(DEBUG, json=sent, headers=headers)

    text = await answer.text()
    body = orjson.loads(text)
    assert answer.status == 200
    assert [secret for secret in secrets if secret in text] == []
    assert not any(secret[: len(secret) // 2] in text for secret in secrets if len(secret) > 12)
    assert body["job"]["system"] == "Use [hidden], never [hidden]."
    assert body["job"]["turns"][0]["blocks"][0]["text"].startswith("xxxx")
    assert body["request"]["headers"]["user-agent"] == "me [hidden]"
    assert body["request"]["headers"]["authorization"] == "[hidden]"
    assert dispatcher.jobs == []


async def test_what_is_long_or_deep_is_cut(serve: Serve) -> None:
    deep: Any = "the bottom"
    for _ in range(200):
        deep = {"a": deep}
    sent = {**CHAT, "messages": [{"role": "user", "content": "word " * 10_000}], "metadata": deep}

    text = await (await (await serve()).post(DEBUG, json=sent)).text()

    assert "(50000 characters)" in text
    assert "the bottom" not in text
    assert len(text) < 10_000


@pytest.mark.parametrize("before", ["", "Basic ", "eyJ", "eyJ" * 300, "x" * 900 + " "])
async def test_a_signed_token_is_hidden_whatever_stands_before_it(serve: Serve, before: str) -> None:
    token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"
    sent = {**CHAT, "messages": [{"role": "user", "content": f"{before}{token} and on"}]}

    text = await (await (await serve()).post(DEBUG, json=sent)).text()

    assert token[-12:] not in text
