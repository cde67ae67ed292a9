"""The home page and its static files, without a browser."""

import re

import pytest
from pydantic import SecretStr

from claude_gateway.web.pages.home import FILES_BY_PATH
from tests.claude_gateway.web.conftest import Serve


@pytest.mark.promise("pages.no-foreign-host")
async def test_page_may_load_only_files_of_this_gateway(serve: Serve) -> None:
    client = await serve(api_key="k")
    response = await client.get("/")
    text = await response.text()

    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert (response.status, response.content_type) == (200, "text/html")
    loaded = re.findall(r'(?:src|href)="([^"#]+)"', text)
    assert all(url.startswith("/") for url in loaded), loaded
    assert not re.search(r"<script(?![^>]*src=)|<style|\son\w+=|\sstyle=", text)


async def test_files_of_the_page_need_no_key_and_are_cacheable(serve: Serve) -> None:
    client = await serve(api_key="k")

    for path, content in FILES_BY_PATH.items():
        response = await client.get(path)
        assert response.status == 200
        assert await response.read() == content
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert "immutable" in response.headers["Cache-Control"]
    assert {path.rpartition(".")[2] for path in FILES_BY_PATH} == {"css", "js", "json", "svg"}


@pytest.mark.parametrize("name", ["index.html", "..%2fpages.py", "../pages.py", "%2e%2e/pages.py", "nothing.js"])
async def test_serves_only_static_files_of_the_page(serve: Serve, name: str) -> None:
    client = await serve()
    folder = next(iter(FILES_BY_PATH)).rpartition("/")[0]

    assert (await client.get(f"{folder}/{name}")).status == 404


async def test_every_file_named_by_the_page_exists(serve: Serve) -> None:
    client = await serve()
    text = await (await client.get("/")).text()

    named = set(re.findall(r'"(/static/[^"]+)"', text))
    scripts = {path for path in FILES_BY_PATH if path.endswith(".js")}
    folder = next(iter(FILES_BY_PATH)).rpartition("/")[0]
    imported = {
        f"{folder}/{name}"
        for path in scripts
        for name in re.findall(r'from "\./([^"]+)"', FILES_BY_PATH[path].decode())
    }
    assert named <= FILES_BY_PATH.keys()
    assert imported <= FILES_BY_PATH.keys()
    assert scripts <= imported | named


@pytest.mark.parametrize(
    ("headers", "root"),
    [
        ({}, '<html lang="en" dir="ltr" data-theme=""'),
        ({"Accept-Language": "ar,en;q=0.5"}, '<html lang="ar" dir="rtl" data-theme=""'),
        ({"Accept-Language": "ar", "Cookie": "language=en; theme=dark"}, '<html lang="en" dir="ltr" data-theme="dark"'),
        ({"Cookie": 'language="><script>; theme="><b>'}, '<html lang="en" dir="ltr" data-theme=""'),
    ],
)
async def test_page_has_language_and_theme_of_the_user(serve: Serve, headers: dict[str, str], root: str) -> None:
    client = await serve()

    assert root in await (await client.get("/", headers=headers)).text()


@pytest.mark.parametrize(("changes", "key"), [({"api_key": "k"}, "needed"), ({}, "none")])
async def test_page_states_whether_a_key_is_required(serve: Serve, changes: dict[str, str], key: str) -> None:
    client = await serve(**changes)

    assert f'data-key="{key}"' in await (await client.get("/")).text()


async def test_login_status_shows_the_permissions_of_the_key(serve: Serve) -> None:
    client = await serve(api_key="k")
    response = await client.get("/v1/auth/status", headers={"Authorization": "Bearer k"})

    current_key = (await response.json())["current_key"]
    assert current_key == {"key_id": "environment", "name": "", "scopes": ["admin", "chat", "mcp", "tools"]}


async def test_page_does_not_reveal_whether_a_key_is_valid(serve: Serve) -> None:
    """The page has no rate limit, so a client could use it to guess keys."""
    client = await serve(api_key=SecretStr("the-key"))

    sent = [{"authorization": f"Bearer {key}"} for key in ("the-key", "another")]
    pages = [await (await client.get("/", headers=headers)).text() for headers in sent]

    assert pages[0] == pages[1]
