"""`/v1/admin/keys`: the keys of this gateway, for a key with the scope `admin`."""

from aiohttp import web

from claude_gateway.access.keys import StoredKey
from claude_gateway.access.wanted_key import WantedKey, described
from claude_gateway.web import body
from claude_gateway.web.json_answer import json_answer
from claude_gateway.web.parts import PARTS

# Nobody between here and the caller keeps what is shown this once.
_NOT_KEPT = {"Cache-Control": "no-store"}


async def listed(request: web.Request) -> web.Response:
    keys = request.app[PARTS].keys
    stored = await keys.listed()
    return json_answer({"keys": [described(one, keys.now()) for one in stored], "total": len(stored)})


async def created(request: web.Request) -> web.Response:
    wanted = await body.read(request, WantedKey)
    return _with_secret(request, *await request.app[PARTS].keys.create(wanted), status=201)


async def rotated(request: web.Request) -> web.Response:
    return _with_secret(request, *await request.app[PARTS].keys.rotate(request.match_info["id"]))


async def revoked(request: web.Request) -> web.Response:
    id_ = request.match_info["id"]
    await request.app[PARTS].keys.revoke(id_)
    return json_answer({"id": id_, "status": "revoked"})


def _with_secret(request: web.Request, stored: StoredKey, secret: str, status: int = 200) -> web.Response:
    told = described(stored, request.app[PARTS].keys.now())
    return json_answer({**told, "key": secret}, status=status, headers=_NOT_KEPT)
