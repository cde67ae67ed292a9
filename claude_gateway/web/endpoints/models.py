"""Handlers for `GET /v1/models` and `GET /v1/models/{id}`. The response is in the dialect of the client."""

from aiohttp import web

from claude_gateway.dialects.common.dialect_name import DialectName
from claude_gateway.model_catalog.catalog import unknown_model
from claude_gateway.web.context.state import API_KEY, STATE
from claude_gateway.web.dialects.registry import DIALECT
from claude_gateway.web.responses.json_response import json_response


async def list_models(request: web.Request) -> web.Response:
    """List the models that the key of the client may use."""
    catalog, allowed = request.app[STATE].catalog, request[API_KEY].models
    with_aliases = request.app[STATE].settings.list_model_aliases or _is_included(request, "aliases")
    listed = catalog.listed_names_and_aliases if with_aliases else catalog.listed_names
    names = [name for name in listed if catalog.is_allowed(allowed, catalog.resolve(name))]
    return json_response(request[DIALECT].model_list_object(names, request.query))


async def get_model(request: web.Request) -> web.Response:
    """Return the description of one model.

    Raises:
        ApiError: 404 if the model does not exist, or if the key may not use it.
    """
    name = request.match_info["id"]
    if request[DIALECT].name is DialectName.GEMINI:
        name = name.removeprefix("models/")
    catalog = request.app[STATE].catalog
    model = catalog.get_model_id(name)
    if not catalog.is_allowed(request[API_KEY].models, catalog.resolve(model)):
        raise unknown_model(name)
    return json_response(request[DIALECT].model_object(model))


def _is_included(request: web.Request, name: str) -> bool:
    """Return whether the query parameter `include` contains the name.

    The parameter may have one value, values separated by commas, or the form `include[]`.
    """
    values = [*request.query.getall("include", []), *request.query.getall("include[]", [])]
    return name in {part.strip() for value in values for part in value.split(",")}
