"""The list of models, which three dialects share: each gets it in its own shape."""

from typing import Any

import pytest

from claude_gateway.models.catalogue import CURRENT
from tests.claude_gateway.scripted import HELLO, MODEL, ScriptedDispatcher
from tests.claude_gateway.web.conftest import Serve

# What the CLI reports, and the default model, which it does not.
REPORTED = [{"value": word, "resolvedModel": model} for word, model in CURRENT.items()]
LISTED = (*CURRENT.values(), MODEL)

GOOGLE = {"x-goog-api-key": "any"}
GOOGLE_CLIENT = {"x-goog-api-client": "google-genai-sdk/3.4.0"}
ANTHROPIC = {"anthropic-version": "2023-06-01"}
PATHS = ["/v1/models", "/models"]


async def get(serve: Serve, path: str, headers: dict[str, str], **changes: Any) -> tuple[int, Any]:
    response = await (await serve(reported=REPORTED, **changes)).get(path, headers=headers)
    return response.status, await response.json()


@pytest.mark.parametrize("path", PATHS)
async def test_the_models_are_listed(serve: Serve, path: str) -> None:
    status, body = await get(serve, path, {})

    assert status == 200
    assert [model["id"] for model in body["data"]] == list(LISTED)
    assert body["object"] == "list"
    assert all(
        model.keys() == {"id", "object", "created", "owned_by"} and model["object"] == "model" for model in body["data"]
    )


@pytest.mark.parametrize("path", PATHS)
async def test_anthropic_s_programs_get_anthropic_s_list(serve: Serve, path: str) -> None:
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
async def test_google_s_programs_get_google_s_list(serve: Serve, path: str, headers: dict[str, str]) -> None:
    _, body = await get(serve, path, headers)

    assert body.keys() == {"models"}
    assert [model["name"] for model in body["models"]] == [f"models/{name}" for name in LISTED]
    assert all("generateContent" in model["supportedGenerationMethods"] for model in body["models"])


@pytest.mark.parametrize("prefix", PATHS)
async def test_a_model_is_found_by_its_id(serve: Serve, prefix: str) -> None:
    for headers, key, expected in (
        ({}, "id", LISTED[0]),
        (ANTHROPIC, "id", LISTED[0]),
        (GOOGLE, "name", f"models/{LISTED[0]}"),
    ):
        status, body = await get(serve, f"{prefix}/{LISTED[0]}", headers)
        assert (status, body[key]) == (200, expected)


async def test_google_s_name_of_a_model_may_say_models_twice(serve: Serve) -> None:
    status, body = await get(serve, f"/v1beta/models/models/{LISTED[0]}", {})

    assert (status, body["name"]) == (200, f"models/{LISTED[0]}")


@pytest.mark.promise("models.unknown")
@pytest.mark.parametrize("name", ["claude-of-tomorrow", "some/model", "100%25", "..%2Fsecret"])
async def test_a_model_that_is_not_listed_is_a_404_in_the_shape_of_whoever_asks(serve: Serve, name: str) -> None:
    openai, anthropic, google = [await get(serve, f"/v1/models/{name}", headers) for headers in ({}, ANTHROPIC, GOOGLE)]

    assert [status for status, _ in (openai, anthropic, google)] == [404] * 3
    assert openai[1]["error"]["code"] == "model_not_found"
    assert anthropic[1]["type"] == "error"
    assert google[1]["error"]["status"] == "NOT_FOUND"
    assert google[1]["error"]["details"][0]["reason"] == "MODEL_NOT_FOUND"


SHAPES = [
    ("/v1/models", {}, lambda body: [one["id"] for one in body["data"]]),
    ("/v1/models?limit=100", ANTHROPIC, lambda body: [one["id"] for one in body["data"]]),
    ("/v1/models", GOOGLE, lambda body: [one["name"].removeprefix("models/") for one in body["models"]]),
]


@pytest.mark.promise("models.listed-aliases")
@pytest.mark.parametrize("asks", ["include=aliases", "include[]=aliases", "include=other,aliases", "the setting"])
@pytest.mark.parametrize(("path", "headers", "names"), SHAPES)
async def test_other_names_that_get_an_answer_are_listed_on_demand(
    serve: Serve, path: str, headers: dict[str, str], names: Any, asks: str
) -> None:
    by_setting = asks == "the setting"
    query = "" if by_setting else ("&" if "?" in path else "?") + asks

    _, body = await get(serve, path + query, headers, list_model_aliases=by_setting)

    listed = names(body)
    assert tuple(listed[: len(LISTED)]) == LISTED
    assert {"sonnet", "opus", "haiku", "default", "gpt-4o", "gpt-4o-mini", "gemini-2.5-pro"} <= set(listed)
    for name in listed:
        status, one = await get(serve, f"/v1/models/{name}", headers)
        assert status == 200, name
        assert one.get("id", one.get("name", "")).removeprefix("models/") == name


@pytest.mark.parametrize("path", ["/v1/models/anthropic/claude-sonnet-5.5", "/models/anthropic%2Fclaude-sonnet-5.5"])
async def test_a_model_is_found_by_another_spelling(serve: Serve, path: str) -> None:
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
    ("name", "model", "told"),
    [
        # A word changes its meaning with time, so the answer says which model it was.
        ("sonnet", "claude-sonnet-5-5", "claude-sonnet-5-5"),
        ("claude-haiku-latest", "claude-haiku-5-5", "claude-haiku-5-5"),
        ("anthropic/opus", "claude-opus-5-5", "claude-opus-5-5"),
        # Any other name is the one by which the program knows the model.
        ("anthropic/claude-sonnet-5.5", "claude-sonnet-5-5", "anthropic/claude-sonnet-5.5"),
        ("openai/gpt-4o-mini", "claude-haiku-5-5", "openai/gpt-4o-mini"),
        ("us.anthropic.claude-opus-5-5", "claude-opus-5-5", "us.anthropic.claude-opus-5-5"),
    ],
)
async def test_a_name_is_answered_in_every_dialect(
    serve: Serve, dialect: str, stream: bool, name: str, model: str, told: str
) -> None:
    dispatcher = ScriptedDispatcher.always(*HELLO)
    client = await serve(dispatcher, reported=REPORTED)
    path, body, field = DIALECTS[dialect]
    if dialect == "gemini":
        path = path.format(name).replace("generate", "streamGenerate") if stream else path.format(name)
    else:
        body = {**body, "model": name, "stream": stream}

    response = await client.post(path, json=body)

    assert response.status == 200
    assert [job.model for job in dispatcher.jobs] == [model]
    assert response.headers["x-claude-model"] == model
    assert f'"{field}":"{told}"' in await response.text()
