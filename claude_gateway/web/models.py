"""`GET /v1/models` and `/v1/models/{id}`, in the shape of whoever asks."""

from typing import Any

from aiohttp import web

from claude_gateway.dialects.anthropic import models as anthropic
from claude_gateway.dialects.gemini import models as gemini
from claude_gateway.models.catalogue import unknown_model
from claude_gateway.web.json_answer import json_answer
from claude_gateway.web.parts import CALLER, PARTS
from claude_gateway.web.spoken import Dialect, spoken

# The models' release dates are not known to the CLI; clients need an integer, none reads it.
_CREATED = 1_735_689_600


async def models(request: web.Request) -> web.Response:
    catalogue, only = request.app[PARTS].catalogue, request[CALLER].models
    with_aliases = request.app[PARTS].settings.list_model_aliases or _includes(request, "aliases")
    listed = catalogue.names_and_aliases if with_aliases else catalogue.names
    names = [name for name in listed if catalogue.allows(only, catalogue.resolve(name))]
    match spoken(request):
        case Dialect.GEMINI:
            return json_answer(gemini.page(names))
        case Dialect.ANTHROPIC:
            return json_answer(anthropic.page(names, request.query))
        case Dialect.OPENAI:
            return json_answer({"object": "list", "data": [_model(name) for name in names]})


async def model(request: web.Request) -> web.Response:
    dialect, name = spoken(request), request.match_info["id"]
    if dialect is Dialect.GEMINI:
        name = name.removeprefix("models/")
    catalogue = request.app[PARTS].catalogue
    found = catalogue.get(name)
    if not catalogue.allows(request[CALLER].models, catalogue.resolve(found)):
        raise unknown_model(name)
    match dialect:
        case Dialect.GEMINI:
            return json_answer(gemini.model(found))
        case Dialect.ANTHROPIC:
            return json_answer(anthropic.model(found))
        case Dialect.OPENAI:
            return json_answer(_model(found))


def _includes(request: web.Request, what: str) -> bool:
    """Whether `?include=` names it: once, with commas, or as OpenAI's programs write a list."""
    sent = [*request.query.getall("include", []), *request.query.getall("include[]", [])]
    return what in {one.strip() for value in sent for one in value.split(",")}


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": _CREATED, "owned_by": "anthropic"}
