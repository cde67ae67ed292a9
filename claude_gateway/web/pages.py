"""The home page, and the files that it is made of: from an allow-list, read once, with nothing of another host."""

import hashlib
from importlib.resources import files

import orjson
from aiohttp import HttpVersion11, web

from claude_gateway.errors import ApiError
from claude_gateway.web import page_text
from claude_gateway.web.parts import PARTS

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_TYPES = {".css": "text/css", ".js": "text/javascript", ".json": "application/json", ".svg": "image/svg+xml"}
_INDEX = "index.html"


def _read() -> dict[str, bytes]:
    """What is served is what was there at the start: no name of a request ever becomes one of a file."""
    return {file.name: file.read_bytes() for file in files("claude_gateway.web").joinpath("static").iterdir()}


_ALL = _read()
_TEMPLATE = _ALL.pop(_INDEX).decode()
# In the address, so that each may be kept for ever and all of a page belong together.
_DIGEST = hashlib.sha256(b"".join(name.encode() + content for name, content in sorted(_ALL.items()))).hexdigest()[:16]
FILES = {f"/static/{_DIGEST}/{name}": content for name, content in _ALL.items()}
_STRINGS: page_text.Strings = orjson.loads(_ALL["strings.json"])
_PAGES = {
    language: page_text.page(_TEMPLATE, _STRINGS, language).replace('"/static/', f'"/static/{_DIGEST}/')
    for language in page_text.LANGUAGES
}


async def home(request: web.Request) -> web.Response:
    """In the reader's language and theme from the first byte on, so that nothing is seen to change."""
    language = page_text.choose_language(
        request.query.get("language"), request.cookies.get("language"), request.headers.get("Accept-Language", "")
    )
    theme = request.cookies.get("theme", "")
    facts = {
        "theme": theme if theme in page_text.THEMES else "",
        "key": "needed" if await _needs_key(request) else "none",
        "model": request.app[PARTS].catalogue.resolve("default"),
    }
    text = page_text.with_root(_PAGES[language], language, facts)
    headers = {**_HEADERS, "Cache-Control": "no-cache", "Content-Language": language, "Vary": "Accept-Language, Cookie"}
    return web.Response(text=text, content_type="text/html", headers=headers)


async def file(request: web.Request) -> web.Response:
    content = FILES.get(request.path)
    if content is None:
        raise web.HTTPNotFound
    suffix = request.path[request.path.rindex(".") :]
    headers = {**_HEADERS, "Cache-Control": "public, max-age=31536000, immutable"}
    return web.Response(body=content, content_type=_TYPES[suffix], charset="utf-8", headers=headers)


async def _needs_key(request: web.Request) -> bool:
    """Whether this very reader has to send a key. A key that they do send is not looked at: nobody counts how often
    this path is asked, and it must not tell a right key from a wrong one."""
    key_ring = request.app[PARTS].key_ring
    await key_ring.follow()
    if key_ring.kind != "none":
        return True
    try:
        key_ring.identify(request.headers, request.remote, http_1_0=request.version < HttpVersion11)
    except ApiError:
        return True
    return False
