"""CORS: responses that a web page of another origin may read."""

from typing import Any

import pytest

from tests.claude_gateway.scripted import CHAT_BODY, STREAM_BODY
from tests.claude_gateway.web.conftest import Client, Serve

KEY = "the key of the tests"
PAGE = "https://chat.example"
FROM_PAGE = {"Origin": PAGE}
WITH_KEY = {**FROM_PAGE, "Authorization": f"Bearer {KEY}"}
PREFLIGHT_HEADERS = {
    **FROM_PAGE,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type,x-claude-max-turns",
}
PATHS = ("/v1/chat/completions", "/v1/messages", "/v1beta/models/gemini-pro:generateContent", "/no/such/path", "/")


@pytest.mark.parametrize("path", PATHS)
async def test_preflight_needs_no_key_on_any_path(serve: Serve, path: str) -> None:
    response = await (await serve(api_key=KEY)).options(path, headers=PREFLIGHT_HEADERS)

    assert response.status == 204
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert response.headers["Access-Control-Allow-Headers"] == PREFLIGHT_HEADERS["Access-Control-Request-Headers"]
    assert {"POST", "DELETE", "PUT"} <= set(response.headers["Access-Control-Allow-Methods"].split(", "))


@pytest.mark.parametrize(
    ("path", "body", "headers", "status"),
    [
        ("/v1/chat/completions", CHAT_BODY, WITH_KEY, 200),
        ("/v1/chat/completions", STREAM_BODY, WITH_KEY, 200),
        ("/v1/chat/completions", {}, WITH_KEY, 422),
        ("/v1/chat/completions", CHAT_BODY, FROM_PAGE, 401),
        ("/v1/no/such/path", CHAT_BODY, WITH_KEY, 404),
    ],
)
@pytest.mark.promise("cors.readable")
async def test_page_reads_responses_streams_and_errors_with_headers(
    serve: Serve, path: str, body: Any, headers: dict[str, str], status: int
) -> None:
    response = await (await serve(api_key=KEY)).post(path, json=body, headers=headers)

    assert response.status == status
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    exposed = response.headers["Access-Control-Expose-Headers"].split(", ")
    assert {"x-request-id", "x-gateway-warnings", "x-claude-model", "retry-after"} <= set(exposed)
    assert "Access-Control-Allow-Credentials" not in response.headers


@pytest.mark.promise("cors.no-key")
async def test_sends_no_cors_headers_without_a_key(serve: Serve) -> None:
    client = await serve()

    preflight = await client.options("/v1/chat/completions", headers=PREFLIGHT_HEADERS)
    chat = await client.post("/v1/chat/completions", json=CHAT_BODY, headers=FROM_PAGE)
    local = await client.post(
        "/v1/chat/completions",
        json=CHAT_BODY,
        headers={"Origin": "http://localhost:3000", "Sec-Fetch-Site": "same-site"},
    )

    assert [preflight.status, chat.status, local.status] == [401, 401, 401]
    for response in (preflight, chat, local, await client.get("/health", headers=FROM_PAGE)):
        assert not [name for name in response.headers if name.lower().startswith("access-control")]


async def test_allows_only_configured_origins(serve: Serve) -> None:
    client = await serve(api_key=KEY, cors_origins=f'["{PAGE}", "http://localhost:3000"]')

    assert await send_preflight(client, PAGE) == (204, PAGE)
    assert await send_preflight(client, "http://localhost:3000") == (204, "http://localhost:3000")
    for other_origin in ("https://chat.example.evil", "http://chat.example", "null", "https://chat.example:444"):
        status, origin = await send_preflight(client, other_origin)
        assert (status, origin) == (401, None)
    assert (await client.get("/health")).headers["Vary"] == "Origin"


async def test_allows_no_origin_if_none_is_configured(serve: Serve) -> None:
    assert await send_preflight(await serve(api_key=KEY, cors_origins="[]"), PAGE) == (401, None)


@pytest.mark.parametrize(
    "origins", ['["https://a.example/path"]', "null", "https://*.example", "[1]", "[", "a.example"]
)
async def test_invalid_origin_prevents_startup(serve: Serve, origins: str) -> None:
    with pytest.raises(ValueError, match="cors_origins"):
        await serve(cors_origins=origins)


async def test_options_request_that_is_not_a_preflight_lists_the_methods(serve: Serve) -> None:
    response = await (await serve(api_key=KEY)).options("/v1/chat/completions", headers=WITH_KEY)

    assert (response.status, "POST" in response.headers["Allow"]) == (204, True)


async def send_preflight(client: Client, origin: str) -> tuple[int, str | None]:
    response = await client.options("/v1/chat/completions", headers={**PREFLIGHT_HEADERS, "Origin": origin})
    return response.status, response.headers.get("Access-Control-Allow-Origin")
