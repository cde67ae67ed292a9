"""Function that builds JSON responses."""

from collections.abc import Mapping

import orjson
from aiohttp import web


def json_response(value: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return a response whose body is the value in JSON."""
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json", headers=headers)
