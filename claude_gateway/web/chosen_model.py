"""The model that a request names, for the key that sent it; and its heir, where the upstream has it no more."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from claude_gateway.models.catalogue import model_not_allowed
from claude_gateway.models.succession import succession_of
from claude_gateway.web.answer_headers import WARNINGS
from claude_gateway.web.parts import CALLER, PARTS, VISITED
from workers.errors import ErrorKind, WorkerError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_MEANT = web.RequestKey("meant", str)
_CHOSEN = web.RequestKey("chosen", str)


def chosen_model(request: web.Request, name: str, *, spends: bool = True) -> str:
    """Raises `ApiError`: 404 for a name that means none, 403 for a model that the key may not use; where the answer
    `spends` anything, 429 for a key that has spent what it may today."""
    parts = request.app[PARTS]
    if spends:
        parts.ledger.require_budget(request[CALLER])
    meant = request[_MEANT] = parts.catalogue.meant(name)
    model = request[_CHOSEN] = parts.catalogue.living(meant)
    if not parts.catalogue.allows(request[CALLER].models, model):
        raise model_not_allowed()
    request[VISITED].model = name
    return model


def told_model(request: web.Request, name: str) -> str:
    """The model that the answer to this request names: the one that answers where `name` is a word such as `sonnet`,
    else the name as it was asked for, which is how a program knows it."""
    return request[_CHOSEN] if request.app[PARTS].catalogue.is_word(name) else name


@web.middleware
async def ask_the_heir(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A request for a model that the upstream has just refused is read once more, now for the model that answers for
    it: nobody has seen anything yet, and what a request may say depends on its model."""
    try:
        return await handler(request)
    except WorkerError as error:
        chosen = request.get(_CHOSEN, "")
        if error.kind is not ErrorKind.MODEL_NOT_FOUND or request.app[PARTS].catalogue.living(chosen) == chosen:
            raise
    return await handler(request)


async def name_the_heir(request: web.Request, response: web.StreamResponse) -> None:
    meant, chosen = request.get(_MEANT), request.get(_CHOSEN)
    if meant is not None and meant != chosen and (succession := succession_of(meant)) is not None:
        told = f"model: {chosen} answers for {meant}, {succession.why}"
        others = response.headers.get(WARNINGS)
        response.headers[WARNINGS] = f"{told}; {others}" if others else told
