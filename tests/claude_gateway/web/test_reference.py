"""`/openapi.json`, `/docs` and `/redoc`, without a browser."""

import re

import pytest

from claude_gateway.web import reference
from tests.claude_gateway.web.conftest import Serve

KEY = "the key of the tests"
PAGES = ("/docs", "/redoc")


async def test_the_document_is_open_to_all_and_names_every_way_to_send_a_key(serve: Serve) -> None:
    response = await (await serve(api_key=KEY)).get("/openapi.json")

    document = await response.json()
    assert (response.status, document["openapi"]) == (200, "3.1.0")
    assert document["components"]["securitySchemes"].keys() == {"bearer", "x-api-key", "x-goog-api-key", "key"}


@pytest.mark.parametrize("page", PAGES)
async def test_a_page_loads_nothing_but_files_of_the_gateway_that_are_there(serve: Serve, page: str) -> None:
    client = await serve(api_key=KEY)

    response = await client.get(page)

    named = re.findall(r'(?:src|href)="([^"]*)"', await response.text())
    policy = response.headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "http" not in policy
    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert set(named) <= reference.ASSETS
    for name in named:
        asset = await client.get(name)
        assert (asset.status, asset.headers["Cache-Control"]) == (200, "public, max-age=31536000, immutable")
        assert asset.content_length


@pytest.mark.parametrize(
    "path",
    [
        "/docs/assets/docs.js",
        "/docs/assets/{digest}/LICENSE",
        "/docs/assets/{digest}/docs.html",
        "/docs/assets/{digest}/../../../../__init__.py",
        "/docs/assets/{digest}/..%2f..%2f..%2f__init__.py",
        "/docs/assets/{digest}/%2e%2e/%2e%2e/apps.py",
        "/docs/assets/{digest}//etc/passwd",
        "/docs/assets/{digest}/docs.js%00.css",
    ],
)
async def test_nothing_is_served_but_what_the_pages_name(serve: Serve, path: str) -> None:
    digest = min(reference.ASSETS).split("/")[3]

    response = await (await serve(api_key=KEY)).get(path.format(digest=digest))

    assert response.status in (401, 404)
    assert "error" in await response.json()


async def test_no_file_of_another_host_is_named_in_what_is_served(serve: Serve) -> None:
    client = await serve()
    bundle = next(name for name in reference.ASSETS if name.endswith("redoc.standalone.js"))

    assert "cdn.redoc" not in await (await client.get(bundle)).text()
