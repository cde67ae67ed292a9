"""`GET /openapi.json`, and the two pages that show it: Swagger UI under `/docs`, ReDoc under `/redoc`.

Their files come from a wheel that is a Django application: only its files are read, nothing of it is imported.
"""

import asyncio
import hashlib
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import orjson
from aiohttp import web

from claude_gateway.openapi.document import document
from claude_gateway.openapi.operations import OPERATIONS, TABLES
from claude_gateway.web.health import API_VERSION

_WHEEL = "drf_spectacular_sidecar"
# What is served of the wheel: no name of a request ever becomes one of a file.
_OF_THE_WHEEL = {
    "favicon-32x32.png": "swagger-ui-dist",
    "swagger-ui-bundle.js": "swagger-ui-dist",
    "swagger-ui.css": "swagger-ui-dist",
    "redoc.standalone.js": "redoc/bundles",
}
_TYPES = {".css": "text/css", ".js": "text/javascript", ".png": "image/png"}
# The one thing that ReDoc would ask another host for.
_LOGO = b"https://cdn.redoc.ly/redoc/logo-mini.svg"

_SAFE = {"Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'{styles}; connect-src 'self'; img-src 'self' data:; "
    "{more}frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
# Hashes: of the empty text, for ReDoc makes empty styles and fills them by a script, which needs no leave; and of the
# one style that it has in it. Another version of it fails the test of the page, in whose console its hash then stands.
_STYLES_OF_REDOC = (
    " 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=' 'sha256-QMIg+bpjm3JdElJ388KYke01izlUW0UoNOeKjpMxdgc='"
)
# It searches in a worker that it makes itself.
_POLICIES = {
    "docs.html": _POLICY.format(styles="", more=""),
    "redoc.html": _POLICY.format(styles=_STYLES_OF_REDOC, more="worker-src blob:; "),
}


def _read_own() -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in files("claude_gateway.web").joinpath("docs_static").iterdir()}


_OWN = _read_own()
# In the address, so that each may be kept for ever and all of a page belong together.
_DIGEST = hashlib.sha256(
    b"".join([version("drf-spectacular-sidecar").encode(), *(_OWN[name] for name in sorted(_OWN))])
).hexdigest()[:16]
_FOLDER = f"/docs/assets/{_DIGEST}/"
ASSETS = frozenset(f"{_FOLDER}{name}" for name in [*_OF_THE_WHEEL, *_OWN] if not name.endswith(".html"))
OPEN_PATHS = frozenset({"/openapi.json", "/docs", "/redoc", *ASSETS})


async def openapi(_: web.Request) -> web.Response:
    # In a thread, for it takes a while the first time, and no stream is to wait for it.
    return web.Response(body=await asyncio.to_thread(_document), content_type="application/json", headers=_SAFE)


async def docs(_: web.Request) -> web.Response:
    return _page("docs.html")


async def redoc(_: web.Request) -> web.Response:
    return _page("redoc.html")


async def asset(request: web.Request) -> web.Response:
    if request.path not in ASSETS:
        raise web.HTTPNotFound
    name = request.path.removeprefix(_FOLDER)
    headers = {**_SAFE, "Cache-Control": "public, max-age=31536000, immutable"}
    type_ = _TYPES[Path(name).suffix]
    body = await asyncio.to_thread(_content, name)
    return web.Response(
        body=body, content_type=type_, charset=None if type_ == "image/png" else "utf-8", headers=headers
    )


def _page(name: str) -> web.Response:
    headers = {**_SAFE, "Content-Security-Policy": _POLICIES[name], "Cache-Control": "no-cache"}
    text = _OWN[name].decode().replace("/docs/assets/", _FOLDER)
    return web.Response(text=text, content_type="text/html", headers=headers)


@cache
def _content(name: str) -> bytes:
    if name in _OWN:
        return _OWN[name]
    spec = find_spec(_WHEEL)
    assert spec is not None
    assert spec.submodule_search_locations is not None
    root = Path(spec.submodule_search_locations[0]) / "static" / _WHEEL
    return (root / _OF_THE_WHEEL[name] / name).read_bytes().replace(_LOGO, b"data:,")


@cache
def _document() -> bytes:
    return orjson.dumps(document(OPERATIONS, TABLES, API_VERSION))
