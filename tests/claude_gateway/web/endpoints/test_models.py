"""Tests for the list of models, which each client gets in the format of its dialect."""

from typing import Any

import pytest

from claude_gateway.model_catalog.catalog import DEFAULT_FAMILY_MODELS
from tests.claude_gateway.scripted import HELLO_EVENTS, MODEL, ScriptedWorkerSource
from tests.claude_gateway.web.conftest import Serve

# The CLI reports the models of the families, but not the default model.
REPORTED = [{"value": word, "resolvedModel": model} for word, model in DEFAULT_FAMILY_MODELS.items()]
LISTED = (*DEFAULT_FAMILY_MODELS.values(), MODEL)

GOOGLE = {"x-goog-api-key": "any"}
GOOGLE_CLIENT = {"x-goog-api-client": "google-genai-sdk/3.4.0"}
ANTHROPIC = {"anthropic-version": "2023-06-01"}
PATHS = ["/v1/models", "/models"]


async def get(serve: Serve, path: str, headers: dict[str, str], **changes: Any) -> tuple[int, Any]:
    response = await (await serve(cli_models=REPORTED, **changes)).get(path, headers=headers)
    return response.status, await response.json()


@pytest.mark.parametrize("path", PATHS)
async def test_lists_models(serve: Serve, path: str) -> None:
    status, body = await get(serve, path, {})

    assert status == 200
    assert [model["id"] for model in body["data"]] == list(LISTED)
    assert body["object"] == "list"
    assert all(
        model.keys() == {"id", "object", "created", "owned_by"} and model["object"] == "model" for model in body["data"]
    )


@pytest.mark.parametrize("path", PATHS)
async def test_returns_anthropic_list_to_anthropic_clients(serve: Serve, path: str) -> None:
    _, body = await get(serve, path, ANTHROPIC)

    assert [model["id"] for model in body["data"]] == list(LISTED)
    assert {model["type"] for model in body["data"]} == {"model"}
    assert (body["first_id"], body["last_id"], body["has_more"]) == (LISTED[0], LISTED[-1], False)


@pytest.mark.promise("models.three-shapes")
@pytest.mark.parametrize(
    ("path", "headers"),
    [
        *((path, headers) for path in PATHS for headers in (GOOGLE, GOOGLE_CLIENT, GOOGLE | ANTHROPIC)),
        ("/v1beta/models", {}),
        ("/v1beta/models", ANTHROPIC),
        ("/v1beta/models?pageSize=50&key=any", {}),
        ("/v1/models?key=any", {}),
    ],
)
async def test_returns_google_list_to_google_clients(serve: Serve, path: str, headers: dict[str, str]) -> None:
    _, body = await get(serve, path, headers)

    assert body.keys() == {"models"}
    assert [model["name"] for model in body["models"]] == [f"models/{name}" for name in LISTED]
    assert all("generateContent" in model["supportedGenerationMethods"] for model in body["models"])


@pytest.mark.parametrize("prefix", PATHS)
async def test_finds_model_by_id(serve: Serve, prefix: str) -> None:
    for headers, key, expected in (
        ({}, "id", LISTED[0]),
        (ANTHROPIC, "id", LISTED[0]),
        (GOOGLE, "name", f"models/{LISTED[0]}"),
    ):
        status, body = await get(serve, f"{prefix}/{LISTED[0]}", headers)
        assert (status, body[key]) == (200, expected)


async def test_accepts_models_prefix_twice_in_gemini_names(serve: Serve) -> None:
    status, body = await get(serve, f"/v1beta/models/models/{LISTED[0]}", {})

    assert (status, body["name"]) == (200, f"models/{LISTED[0]}")


@pytest.mark.promise("models.unknown")
@pytest.mark.parametrize("name", ["claude-of-tomorrow", "some/model", "100%25", "..%2Fsecret"])
async def test_unlisted_model_is_a_404_in_the_format_of_the_client(serve: Serve, name: str) -> None:
    openai, anthropic, google = [await get(serve, f"/v1/models/{name}", headers) for headers in ({}, ANTHROPIC, GOOGLE)]

    assert [status for status, _ in (openai, anthropic, google)] == [404] * 3
    assert openai[1]["error"]["code"] == "model_not_found"
    assert anthropic[1]["type"] == "error"
    assert google[1]["error"]["status"] == "NOT_FOUND"
    assert google[1]["error"]["details"][0]["reason"] == "MODEL_NOT_FOUND"


DIALECT_LISTS = [
    ("/v1/models", {}, lambda body: [model["id"] for model in body["data"]]),
    ("/v1/models?limit=100", ANTHROPIC, lambda body: [model["id"] for model in body["data"]]),
    ("/v1/models", GOOGLE, lambda body: [model["name"].removeprefix("models/") for model in body["models"]]),
]


@pytest.mark.promise("models.listed-aliases")
@pytest.mark.parametrize("source", ["include=aliases", "include[]=aliases", "include=other,aliases", "the setting"])
@pytest.mark.parametrize(("path", "headers", "names"), DIALECT_LISTS)
async def test_lists_aliases_on_request(
    serve: Serve, path: str, headers: dict[str, str], names: Any, source: str
) -> None:
    by_setting = source == "the setting"
    query = "" if by_setting else ("&" if "?" in path else "?") + source

    _, body = await get(serve, path + query, headers, list_model_aliases=by_setting)

    listed = names(body)
    assert tuple(listed[: len(LISTED)]) == LISTED
    assert {"sonnet", "opus", "haiku", "default", "gpt-4o", "gpt-4o-mini", "gemini-2.5-pro"} <= set(listed)
    for name in listed:
        status, model = await get(serve, f"/v1/models/{name}", headers)
        assert status == 200, name
        assert model.get("id", model.get("name", "")).removeprefix("models/") == name


@pytest.mark.parametrize("path", ["/v1/models/anthropic/claude-sonnet-5.5", "/models/anthropic%2Fclaude-sonnet-5.5"])
async def test_finds_model_by_another_spelling(serve: Serve, path: str) -> None:
    status, body = await get(serve, path, {})

    assert (status, body["id"]) == (200, "claude-sonnet-5-5")


DIALECTS: dict[str, tuple[str, dict[str, Any], str]] = {
    "chat": ("/v1/chat/completions", {"messages": [{"role": "user", "content": "hi"}]}, "model"),
    "responses": ("/v1/responses", {"input": "hi", "store": False}, "model"),
    "messages": ("/v1/messages", {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 9}, "model"),
    "gemini": ("/v1beta/models/{}:generateContent", {"contents": [{"parts": [{"text": "hi"}]}]}, "modelVersion"),
}


@pytest.mark.promise("models.spellings")
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("name", "model", "reported"),
    [
        # The meaning of an alias changes with time, so the response names the used model.
        ("sonnet", "claude-sonnet-5-5", "claude-sonnet-5-5"),
        ("claude-haiku-latest", "claude-haiku-5-5", "claude-haiku-5-5"),
        ("anthropic/opus", "claude-opus-5-5", "claude-opus-5-5"),
        # Any other name is repeated, because it is the one by which the client knows the model.
        ("anthropic/claude-sonnet-5.5", "claude-sonnet-5-5", "anthropic/claude-sonnet-5.5"),
        ("openai/gpt-4o-mini", "claude-haiku-5-5", "openai/gpt-4o-mini"),
        ("us.anthropic.claude-opus-5-5", "claude-opus-5-5", "us.anthropic.claude-opus-5-5"),
    ],
)
async def test_resolves_model_name_in_every_dialect(
    serve: Serve, dialect: str, stream: bool, name: str, model: str, reported: str
) -> None:
    dispatcher = ScriptedWorkerSource.repeating(*HELLO_EVENTS)
    client = await serve(dispatcher, cli_models=REPORTED)
    path, body, field = DIALECTS[dialect]
    if dialect == "gemini":
        path = path.format(name).replace("generate", "streamGenerate") if stream else path.format(name)
    else:
        body = {**body, "model": name, "stream": stream}

    response = await client.post(path, json=body)

    assert response.status == 200
    assert [job.model for job in dispatcher.jobs] == [model]
    assert response.headers["x-claude-model"] == model
    assert f'"{field}":"{reported}"' in await response.text()
