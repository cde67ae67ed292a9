"""The home page and its files, as a browser fetches them."""

import re

import pytest
from pydantic import SecretStr

from claude_gateway.web.pages import FILES
from tests.claude_gateway.web.conftest import Serve


@pytest.mark.promise("pages.no-foreign-host")
async def test_the_page_may_load_nothing_but_this_gateway_s_own_files(serve: Serve) -> None:
    client = await serve(api_key="k")
    response = await client.get("/")
    text = await response.text()

    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert (response.status, response.content_type) == (200, "text/html")
    loaded = re.findall(r'(?:src|href)="([^"#]+)"', text)
    assert all(one.startswith("/") for one in loaded), loaded
    assert not re.search(r"<script(?![^>]*src=)|<style|\son\w+=|\sstyle=", text)


async def test_the_page_s_files_need_no_key_and_may_be_kept(serve: Serve) -> None:
    client = await serve(api_key="k")

    for path, content in FILES.items():
        response = await client.get(path)
        assert response.status == 200
        assert await response.read() == content
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert "immutable" in response.headers["Cache-Control"]
    assert {path.rpartition(".")[2] for path in FILES} == {"css", "js", "json", "svg"}


@pytest.mark.parametrize("name", ["index.html", "..%2fpages.py", "../pages.py", "%2e%2e/pages.py", "nothing.js"])
async def test_no_other_file_is_served(serve: Serve, name: str) -> None:
    client = await serve()
    folder = next(iter(FILES)).rpartition("/")[0]

    assert (await client.get(f"{folder}/{name}")).status == 404


async def test_every_file_that_the_page_names_is_there(serve: Serve) -> None:
    client = await serve()
    text = await (await client.get("/")).text()

    named = set(re.findall(r'"(/static/[^"]+)"', text))
    scripts = {path for path in FILES if path.endswith(".js")}
    folder = next(iter(FILES)).rpartition("/")[0]
    imported = {
        f"{folder}/{name}" for path in scripts for name in re.findall(r'from "\./([^"]+)"', FILES[path].decode())
    }
    assert named <= FILES.keys()
    assert imported <= FILES.keys()
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
async def test_the_page_comes_in_the_reader_s_language_and_theme(
    serve: Serve, headers: dict[str, str], root: str
) -> None:
    client = await serve()

    assert root in await (await client.get("/", headers=headers)).text()


@pytest.mark.parametrize(("changes", "key"), [({"api_key": "k"}, "needed"), ({}, "none")])
async def test_the_page_knows_whether_its_reader_needs_a_key(serve: Serve, changes: dict[str, str], key: str) -> None:
    client = await serve(**changes)

    assert f'data-key="{key}"' in await (await client.get("/")).text()


async def test_the_status_of_the_login_says_what_the_calling_key_may_do(serve: Serve) -> None:
    client = await serve(api_key="k")
    response = await client.get("/v1/auth/status", headers={"Authorization": "Bearer k"})

    caller = (await response.json())["caller"]
    assert caller == {"key_id": "environment", "name": "", "scopes": ["admin", "chat", "mcp", "tools"]}


async def test_the_home_page_does_not_tell_a_right_key_from_a_wrong_one(serve: Serve) -> None:
    """Nobody counts how often it is asked."""
    client = await serve(api_key=SecretStr("the-key"))

    sent = [{"authorization": f"Bearer {key}"} for key in ("the-key", "another")]
    pages = [await (await client.get("/", headers=headers)).text() for headers in sent]

    assert pages[0] == pages[1]
