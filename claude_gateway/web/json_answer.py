"""A JSON body as a response: the one way to make one."""

from collections.abc import Mapping

import orjson
from aiohttp import web


def json_answer(value: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json", headers=headers)
