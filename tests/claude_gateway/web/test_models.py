"""The list of models, which three dialects share: each gets it in its own shape."""

from typing import Any

import pytest

from claude_gateway.models.catalogue import LISTED
from tests.claude_gateway.web.conftest import Serve

GOOGLE = {"x-goog-api-key": "any"}
GOOGLE_CLIENT = {"x-goog-api-client": "google-genai-sdk/3.4.0"}
ANTHROPIC = {"anthropic-version": "2023-06-01"}
PATHS = ["/v1/models", "/models"]


async def get(serve: Serve, path: str, headers: dict[str, str]) -> tuple[int, Any]:
    response = await (await serve()).get(path, headers=headers)
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
