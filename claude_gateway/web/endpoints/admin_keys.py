"""Handlers for `/v1/admin/keys`. Clients whose key has the scope `admin` use them to manage API keys."""

from aiohttp import web

from claude_gateway.auth.models import StoredKey
from claude_gateway.auth.schemas import CreateKeyRequest, UpdateKeyRequest, key_to_json
from claude_gateway.web.context.state import STATE
from claude_gateway.web.request import body
from claude_gateway.web.responses.json_response import json_response

# The response contains the secret of a key, so proxies must not store it.
_NO_STORE_HEADERS = {"Cache-Control": "no-store"}


async def list_keys(request: web.Request) -> web.Response:
    """List all API keys, without their secrets."""
    key_service = request.app[STATE].key_service
    keys = await key_service.list_keys()
    return json_response({"keys": [key_to_json(key, key_service.now()) for key in keys], "total": len(keys)})


async def create_key(request: web.Request) -> web.Response:
    """Create an API key and return it. Only this response contains its secret."""
    new_key = await body.read_small_body(request, CreateKeyRequest)
    return _key_response_with_secret(request, *await request.app[STATE].key_service.create_key(new_key), status=201)


async def update_key(request: web.Request) -> web.Response:
    """Change the limits, the group or the login of an API key, and return the key without its secret."""
    changes = await body.read_small_body(request, UpdateKeyRequest)
    key_service = request.app[STATE].key_service
    updated = await key_service.update_key(request.match_info["id"], changes)
    return json_response(key_to_json(updated, key_service.now()))


async def rotate_key(request: web.Request) -> web.Response:
    """Replace the secret of an API key, and return the key. Only this response contains the new secret."""
    return _key_response_with_secret(
        request, *await request.app[STATE].key_service.rotate_key(request.match_info["id"])
    )


async def revoke_key(request: web.Request) -> web.Response:
    """Revoke an API key."""
    id_ = request.match_info["id"]
    await request.app[STATE].key_service.revoke_key(id_)
    return json_response({"id": id_, "status": "revoked"})


def _key_response_with_secret(
    request: web.Request, stored_key: StoredKey, secret: str, status: int = 200
) -> web.Response:
    fields = key_to_json(stored_key, request.app[STATE].key_service.now())
    return json_response({**fields, "key": secret}, status=status, headers=_NO_STORE_HEADERS)
