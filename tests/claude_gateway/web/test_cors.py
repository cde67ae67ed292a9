"""What a web page of another origin may read."""

from typing import Any

import pytest

from tests.claude_gateway.scripted import CHAT, STREAM
from tests.claude_gateway.web.conftest import Client, Serve

KEY = "the key of the tests"
PAGE = "https://chat.example"
FROM_PAGE = {"Origin": PAGE}
WITH_KEY = {**FROM_PAGE, "Authorization": f"Bearer {KEY}"}
ASKS = {
    **FROM_PAGE,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type,x-claude-max-turns",
}
PATHS = ("/v1/chat/completions", "/v1/messages", "/v1beta/models/gemini-pro:generateContent", "/no/such/path", "/")


@pytest.mark.parametrize("path", PATHS)
async def test_a_preflight_needs_no_key_on_whatever_path(serve: Serve, path: str) -> None:
    answer = await (await serve(api_key=KEY)).options(path, headers=ASKS)

    assert answer.status == 204
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["Access-Control-Allow-Headers"] == ASKS["Access-Control-Request-Headers"]
    assert {"POST", "DELETE", "PUT"} <= set(answer.headers["Access-Control-Allow-Methods"].split(", "))


@pytest.mark.parametrize(
    ("path", "body", "headers", "status"),
    [
        ("/v1/chat/completions", CHAT, WITH_KEY, 200),
        ("/v1/chat/completions", STREAM, WITH_KEY, 200),
        ("/v1/chat/completions", {}, WITH_KEY, 422),
        ("/v1/chat/completions", CHAT, FROM_PAGE, 401),
        ("/v1/no/such/path", CHAT, WITH_KEY, 404),
    ],
)
@pytest.mark.promise("cors.readable")
async def test_a_page_reads_answers_streams_and_errors_with_their_headers(
    serve: Serve, path: str, body: Any, headers: dict[str, str], status: int
) -> None:
    answer = await (await serve(api_key=KEY)).post(path, json=body, headers=headers)

    assert answer.status == status
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    exposed = answer.headers["Access-Control-Expose-Headers"].split(", ")
    assert {"x-request-id", "x-gateway-warnings", "x-claude-model", "retry-after"} <= set(exposed)
    assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.promise("cors.no-key")
async def test_without_any_key_no_page_is_told_anything(serve: Serve) -> None:
    client = await serve()

    preflight = await client.options("/v1/chat/completions", headers=ASKS)
    asked = await client.post("/v1/chat/completions", json=CHAT, headers=FROM_PAGE)
    local = await client.post(
        "/v1/chat/completions",
        json=CHAT,
        headers={"Origin": "http://localhost:3000", "Sec-Fetch-Site": "same-site"},
    )

    assert [preflight.status, asked.status, local.status] == [401, 401, 401]
    for answer in (preflight, asked, local, await client.get("/health", headers=FROM_PAGE)):
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]


async def test_only_the_origins_that_were_named_are_let_in(serve: Serve) -> None:
    client = await serve(api_key=KEY, cors_origins=f'["{PAGE}", "http://localhost:3000"]')

    assert await allowed(client, PAGE) == (204, PAGE)
    assert await allowed(client, "http://localhost:3000") == (204, "http://localhost:3000")
    for stranger in ("https://chat.example.evil", "http://chat.example", "null", "https://chat.example:444"):
        status, origin = await allowed(client, stranger)
        assert (status, origin) == (401, None)
    assert (await client.get("/health")).headers["Vary"] == "Origin"


async def test_no_origin_at_all_may_be_let_in(serve: Serve) -> None:
    assert await allowed(await serve(api_key=KEY, cors_origins="[]"), PAGE) == (401, None)


@pytest.mark.parametrize(
    "origins", ['["https://a.example/path"]', "null", "https://*.example", "[1]", "[", "a.example"]
)
async def test_what_is_no_origin_stops_the_start(serve: Serve, origins: str) -> None:
    with pytest.raises(ValueError, match="cors_origins"):
        await serve(cors_origins=origins)


async def test_a_probe_that_is_no_preflight_is_told_the_methods_as_ever(serve: Serve) -> None:
    answer = await (await serve(api_key=KEY)).options("/v1/chat/completions", headers=WITH_KEY)

    assert (answer.status, "POST" in answer.headers["Allow"]) == (204, True)


async def allowed(client: Client, origin: str) -> tuple[int, str | None]:
    answer = await client.options("/v1/chat/completions", headers={**ASKS, "Origin": origin})
    return answer.status, answer.headers.get("Access-Control-Allow-Origin")
