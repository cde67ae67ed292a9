"""The OpenAPI document and the pages `/docs` and `/redoc`, without a browser."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from claude_gateway.devtools.vendor_api_docs import VENDOR_DIRECTORY
from claude_gateway.web.pages import api_docs
from tests.claude_gateway.web.conftest import Serve

KEY = "the key of the tests"
PAGES = ("/docs", "/redoc")


async def test_document_is_public_and_lists_every_way_to_send_a_key(serve: Serve) -> None:
    response = await (await serve(api_key=KEY)).get("/openapi.json")

    document = await response.json()
    assert (response.status, document["openapi"]) == (200, "3.1.0")
    assert document["components"]["securitySchemes"].keys() == {"bearer", "x-api-key", "x-goog-api-key", "key"}


@pytest.mark.parametrize("page", PAGES)
async def test_page_loads_only_existing_files_of_the_gateway(serve: Serve, page: str) -> None:
    client = await serve(api_key=KEY)

    response = await client.get(page)

    named = re.findall(r'(?:src|href)="([^"]*)"', await response.text())
    policy = response.headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "http" not in policy
    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert set(named) <= api_docs.ASSET_PATHS
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
async def test_serves_only_files_named_by_the_pages(serve: Serve, path: str) -> None:
    digest = min(api_docs.ASSET_PATHS).split("/")[3]

    response = await (await serve(api_key=KEY)).get(path.format(digest=digest))

    assert response.status in (401, 404)
    assert "error" in await response.json()


async def test_served_redoc_loads_nothing_from_another_host(serve: Serve) -> None:
    client = await serve()
    bundle = next(name for name in api_docs.ASSET_PATHS if name.endswith("redoc.standalone.js"))

    assert "cdn.redoc" not in await (await client.get(bundle)).text()


@pytest.mark.parametrize("package", json.loads((VENDOR_DIRECTORY / "manifest.json").read_text()).items())
def test_vendored_file_has_the_recorded_digest(package: tuple[str, dict[str, Any]]) -> None:
    name, description = package

    assert description["integrity"].startswith("sha512-")
    assert "LICENSE" in description["files"]
    for path, recorded in description["files"].items():
        content = api_docs.read_vendored_file(VENDOR_DIRECTORY / name / Path(path).name)
        assert hashlib.sha256(content).hexdigest() == recorded


def test_every_vendored_file_is_in_the_manifest() -> None:
    manifest = json.loads((VENDOR_DIRECTORY / "manifest.json").read_text())

    recorded = {f"{name}/{Path(path).name}" for name, package in manifest.items() for path in package["files"]}
    found = {str(path.relative_to(VENDOR_DIRECTORY)).removesuffix(".gz") for path in VENDOR_DIRECTORY.glob("*/*")}
    assert found == recorded
