"""The model that a request names, for the key that sent it."""

from aiohttp import web

from claude_gateway.web.parts import CALLER, PARTS, VISITED


def chosen_model(request: web.Request, name: str, *, spends: bool = True) -> str:
    """Raises `ApiError`: 404 for a name that means none; where the answer `spends` anything, 429 for a key that has
    spent what it may today."""
    parts = request.app[PARTS]
    if spends:
        parts.ledger.require_budget(request[CALLER])
    model = parts.catalogue.resolve(name)
    request[VISITED].model = name
    return model
