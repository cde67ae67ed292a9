"""A request whose key was checked long ago, checked once more: its body took its time, or it waited for its session."""

from dataclasses import replace

from aiohttp import web

from claude_gateway.web.parts import CALLER, PARTS, RULE


async def admit_again(request: web.Request) -> None:
    """Raises `ApiError`: 401 where the key opens nothing any more or has another secret now, 403 where it lost the
    scope of the path."""
    before = request[CALLER]
    key_ring = request.app[PARTS].key_ring
    await key_ring.follow()
    key = key_ring.current(before.id, before.credential)
    if (scope := request[RULE].scope) is not None:
        key.require(scope)
    request[CALLER] = replace(key, credential=before.credential)
