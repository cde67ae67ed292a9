"""Handlers for the OpenAPI document at `/openapi.json`, and for the two web pages that show it.

The page `/docs` uses the viewer Swagger UI, and the page `/redoc` uses the viewer ReDoc. The files of both viewers are
in `docs_vendor`. The command `claude_gateway.devtools.vendor_api_docs` copied them from npm packages.
"""

import asyncio
import gzip
import hashlib
from functools import cache
from pathlib import Path

import orjson
from aiohttp import web

from claude_gateway.claude_code.health_report import API_VERSION
from claude_gateway.openapi.document.builder import build_document
from claude_gateway.openapi.document.parameter_tables import PARAMETER_TABLES
from claude_gateway.openapi.spec import Operation
from claude_gateway.web.context.state import OPERATIONS

_PAGES_DIRECTORY = Path(__file__).parent
_VENDOR_DIRECTORY = _PAGES_DIRECTORY / "docs_vendor"
_VENDOR_MANIFEST = _VENDOR_DIRECTORY / "manifest.json"
_CONTENT_TYPES = {".css": "text/css", ".js": "text/javascript", ".png": "image/png"}
# The URL of a logo, in the script of ReDoc. It is the only file that ReDoc would request from another host.
_REDOC_LOGO_URL = b"https://cdn.redoc.ly/redoc/logo-mini.svg"

_SECURITY_HEADERS = {"Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff"}
_CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'{styles}; connect-src 'self'; img-src 'self' data:; "
    "{extra}frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
# Hashes of the two inline styles of ReDoc, which the content security policy must allow. The first style is empty. A
# script fills it later, which needs no permission. The second style has a fixed text. If a new version of ReDoc has
# another style, the browser test fails, and the browser's console shows the new hash.
_REDOC_STYLE_HASHES = (
    " 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=' 'sha256-QMIg+bpjm3JdElJ388KYke01izlUW0UoNOeKjpMxdgc='"
)
# ReDoc runs its search in a web worker, which it creates from a blob. The policy for its page must allow this.
_POLICIES_BY_PAGE = {
    "docs.html": _CONTENT_SECURITY_POLICY.format(styles="", extra=""),
    "redoc.html": _CONTENT_SECURITY_POLICY.format(styles=_REDOC_STYLE_HASHES, extra="worker-src blob:; "),
}


def _read_docs_files() -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in (_PAGES_DIRECTORY / "docs_static").iterdir()}


def _list_vendored_files() -> dict[str, Path]:
    """Return the paths of all files in `docs_vendor` by name, so that no handler makes a path from a request's text."""
    return {
        Path(file).name: _VENDOR_DIRECTORY / package / Path(file).name
        for package, description in orjson.loads(_VENDOR_MANIFEST.read_bytes()).items()
        for file in description["files"]
        if Path(file).suffix in _CONTENT_TYPES
    }


_DOCS_FILES = _read_docs_files()
_VENDORED_FILES = _list_vendored_files()
# This hash is a part of the URL of each file. The URL changes with the files, so that browsers may cache files forever,
# and all files that a page loads have the same version.
_DIGEST = hashlib.sha256(
    b"".join([_VENDOR_MANIFEST.read_bytes(), *(_DOCS_FILES[name] for name in sorted(_DOCS_FILES))])
).hexdigest()[:16]
_ASSETS_PATH = f"/docs/assets/{_DIGEST}/"
ASSET_PATHS = frozenset(
    f"{_ASSETS_PATH}{name}" for name in [*_VENDORED_FILES, *_DOCS_FILES] if not name.endswith(".html")
)


async def get_openapi(request: web.Request) -> web.Response:
    """Return the OpenAPI document of the gateway."""
    # The first call takes a while. It runs in a thread, so that it does not delay streams.
    return web.Response(
        body=await asyncio.to_thread(_encode_document, request.app[OPERATIONS]),
        content_type="application/json",
        headers=_SECURITY_HEADERS,
    )


async def get_docs_page(_: web.Request) -> web.Response:
    """Return the web page with Swagger UI."""
    return _page_response("docs.html")


async def get_redoc_page(_: web.Request) -> web.Response:
    """Return the web page with ReDoc."""
    return _page_response("redoc.html")


async def get_docs_asset(request: web.Request) -> web.Response:
    """Return a script, style or image for one of the two viewers. Browsers may cache it forever."""
    if request.path not in ASSET_PATHS:
        raise web.HTTPNotFound
    name = request.path.removeprefix(_ASSETS_PATH)
    headers = {**_SECURITY_HEADERS, "Cache-Control": "public, max-age=31536000, immutable"}
    content_type = _CONTENT_TYPES[Path(name).suffix]
    body = await asyncio.to_thread(_load_asset, name)
    return web.Response(
        body=body, content_type=content_type, charset=None if content_type == "image/png" else "utf-8", headers=headers
    )


def _page_response(name: str) -> web.Response:
    headers = {**_SECURITY_HEADERS, "Content-Security-Policy": _POLICIES_BY_PAGE[name], "Cache-Control": "no-cache"}
    text = _DOCS_FILES[name].decode().replace("/docs/assets/", _ASSETS_PATH)
    return web.Response(text=text, content_type="text/html", headers=headers)


@cache
def _load_asset(name: str) -> bytes:
    if name in _DOCS_FILES:
        return _DOCS_FILES[name]
    return read_vendored_file(_VENDORED_FILES[name]).replace(_REDOC_LOGO_URL, b"data:,")


def read_vendored_file(path: Path) -> bytes:
    """Return the content of a file in `docs_vendor`. If the folder contains it in compressed form, decompress it."""
    compressed = path.with_name(f"{path.name}.gz")
    return gzip.decompress(compressed.read_bytes()) if compressed.exists() else path.read_bytes()


@cache
def _encode_document(operations: tuple[Operation, ...]) -> bytes:
    return orjson.dumps(build_document(operations, PARAMETER_TABLES, API_VERSION))
