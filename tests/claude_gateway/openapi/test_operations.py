"""The table of operations, held against the routes both ways."""

from collections.abc import Iterator

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from claude_gateway.openapi.operation import Operation
from claude_gateway.openapi.operations import OPERATIONS
from claude_gateway.web import pages, reference, responses
from tests.claude_gateway.scripted import HELLO, ScriptedDispatcher, scripted_app

# For people in a browser, or no more than a refusal.
_NO_OPERATIONS = {
    pages.home,
    pages.file,
    reference.openapi,
    reference.docs,
    reference.redoc,
    reference.asset,
    responses.refuse_upgrade,
}


@pytest.fixture
def app() -> web.Application:
    return scripted_app(ScriptedDispatcher.always(*HELLO))


@pytest.mark.promise("openapi.every-route")
async def test_every_route_is_an_operation_of_the_document(app: web.Application) -> None:
    """By their handlers: a path may have other names besides."""
    described = {(one.method, await _handler(app, one)) for one in OPERATIONS}

    routed = {(method, handler) for method, handler in _routes(app) if handler not in _NO_OPERATIONS}
    assert sorted(map(str, routed - described)) == []


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: f"{one.method} {one.path}")
async def test_every_operation_leads_to_a_handler(app: web.Application, operation: Operation) -> None:
    assert (operation.method, await _handler(app, operation)) in set(_routes(app))


def test_no_operation_stands_in_the_table_twice() -> None:
    names = [(one.method, one.path) for one in OPERATIONS]

    assert sorted(set(names)) == sorted(names)


async def _handler(app: web.Application, operation: Operation) -> object:
    path = operation.path
    for parameter in operation.parameters:
        if parameter.place == "path":
            path = path.replace(f"{{{parameter.name}}}", parameter.example)
    match = await app.router.resolve(make_mocked_request(operation.method.upper(), path, app=app))
    return match.handler


def _routes(app: web.Application) -> Iterator[tuple[str, object]]:
    for route in app.router.routes():
        if route.method != "HEAD":
            yield route.method.lower(), route.handler
