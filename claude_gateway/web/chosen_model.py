"""The model that a request names, for the key that sent it."""

from aiohttp import web

from claude_gateway.errors import ApiError
from claude_gateway.web.parts import CALLER, PARTS, VISITED


def chosen_model(request: web.Request, name: str, *, spends: bool = True) -> str:
    """Raises `ApiError`: 404 for a name that means none, 403 for a model that the key may not use; where the answer
    `spends` anything, 429 for a key that has spent what it may today."""
    parts = request.app[PARTS]
    if spends:
        parts.ledger.require_budget(request[CALLER])
    model = parts.catalogue.resolve(name)
    if not parts.catalogue.allows(request[CALLER].models, model):
        raise ApiError(
            403, "permission_error", "This key may not use that model.", code="model_not_allowed", param="model"
        )
    request[VISITED].model = name
    return model
