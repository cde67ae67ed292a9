"""Handlers for the home page and its static files. The page loads nothing from another host."""

import hashlib
from importlib.resources import files

import orjson
from aiohttp import HttpVersion11, web

from claude_gateway.core.errors import ApiError
from claude_gateway.web.context.state import STATE
from claude_gateway.web.pages import templating

_CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_SECURITY_HEADERS = {
    "Content-Security-Policy": _CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_CONTENT_TYPES = {".css": "text/css", ".js": "text/javascript", ".json": "application/json", ".svg": "image/svg+xml"}
_INDEX_NAME = "index.html"


def _read_static_files() -> dict[str, bytes]:
    """Read all static files at the start, so that no handler makes a file name from the text of a request."""
    return {file.name: file.read_bytes() for file in files("claude_gateway.web.pages").joinpath("static").iterdir()}


_FILES_BY_NAME = _read_static_files()
_TEMPLATE = _FILES_BY_NAME.pop(_INDEX_NAME).decode()
# This hash is a part of the URL of each file. The URL changes with the files, so that browsers may cache files forever,
# and all files that a page loads have the same version.
_DIGEST = hashlib.sha256(
    b"".join(name.encode() + content for name, content in sorted(_FILES_BY_NAME.items()))
).hexdigest()[:16]
FILES_BY_PATH = {f"/static/{_DIGEST}/{name}": content for name, content in _FILES_BY_NAME.items()}
_STRINGS: templating.Strings = orjson.loads(_FILES_BY_NAME["strings.json"])
_PAGES_BY_LANGUAGE = {
    language: templating.render_page(_TEMPLATE, _STRINGS, language).replace('"/static/', f'"/static/{_DIGEST}/')
    for language in templating.LANGUAGES
}


async def get_home_page(request: web.Request) -> web.Response:
    """Return the home page in the reader's language and theme.

    The page already contains both when the browser receives it, so that its look does not change while it loads.
    """
    language = templating.choose_language(
        request.query.get("language"), request.cookies.get("language"), request.headers.get("Accept-Language", "")
    )
    theme = request.cookies.get("theme", "")
    data_attributes = {
        "theme": theme if theme in templating.THEMES else "",
        "key": "needed" if await _is_key_required(request) else "none",
        "model": request.app[STATE].catalog.resolve("default"),
    }
    text = templating.add_root_attributes(_PAGES_BY_LANGUAGE[language], language, data_attributes)
    headers = {
        **_SECURITY_HEADERS,
        "Cache-Control": "no-cache",
        "Content-Language": language,
        "Vary": "Accept-Language, Cookie",
    }
    return web.Response(text=text, content_type="text/html", headers=headers)


async def get_static_file(request: web.Request) -> web.Response:
    """Return a static file of the home page. Browsers may cache it forever."""
    content = FILES_BY_PATH.get(request.path)
    if content is None:
        raise web.HTTPNotFound
    suffix = request.path[request.path.rindex(".") :]
    headers = {**_SECURITY_HEADERS, "Cache-Control": "public, max-age=31536000, immutable"}
    return web.Response(body=content, content_type=_CONTENT_TYPES[suffix], charset="utf-8", headers=headers)


async def _is_key_required(request: web.Request) -> bool:
    """Return whether a reader of the home page has to send an API key to use the gateway.

    The result does not depend on the key in the request. The path of the home page has no rate limit, so the page must
    not reveal whether a key is valid.
    """
    authenticator = request.app[STATE].authenticator
    await authenticator.refresh()
    if authenticator.key_origin != "none":
        return True
    try:
        authenticator.authenticate(request.headers, request.remote, is_http_1_0=request.version < HttpVersion11)
    except ApiError:
        return True
    return False
