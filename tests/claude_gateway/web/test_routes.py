"""Every route has an operation in the OpenAPI document, and every operation has a route."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from claude_gateway.openapi import resources
from claude_gateway.openapi.spec import Operation
from claude_gateway.web import endpoints
from claude_gateway.web.endpoints import gemini, responses
from claude_gateway.web.pages import api_docs, home
from claude_gateway.web.route_lookup import DOCUMENTED_OPERATIONS as OPERATIONS
from tests.claude_gateway.scripted import HELLO_EVENTS, ScriptedWorkerSource, build_scripted_app

# These handlers serve pages for browsers, or only reject requests.
_UNDOCUMENTED_PATHS = {
    home.get_home_page,
    home.get_static_file,
    api_docs.get_openapi,
    api_docs.get_docs_page,
    api_docs.get_redoc_page,
    api_docs.get_docs_asset,
    responses.refuse_websocket,
    gemini.refuse_method,
}


@pytest.fixture
def app() -> web.Application:
    return build_scripted_app(ScriptedWorkerSource.repeating(*HELLO_EVENTS))


def test_every_endpoint_file_has_a_file_of_operations_with_its_name() -> None:
    endpoint_files, resource_files = (
        {path.name for path in Path(package.__file__).parent.glob("*.py")} for package in (endpoints, resources)
    )

    assert endpoint_files - resource_files == set()


@pytest.mark.promise("openapi.every-route")
async def test_every_route_has_an_operation(app: web.Application) -> None:
    """Compare by handler, because a route may have several paths."""
    described = {(operation.method, await _handler(app, operation)) for operation in OPERATIONS}

    routed = {(method, handler) for method, handler in _routes(app) if handler not in _UNDOCUMENTED_PATHS}
    assert sorted(map(str, routed - described)) == []


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: f"{operation.method} {operation.path}")
async def test_every_operation_has_a_route(app: web.Application, operation: Operation) -> None:
    assert (operation.method, await _handler(app, operation)) in set(_routes(app))


def test_no_operation_is_registered_twice() -> None:
    names = [(operation.method, operation.path) for operation in OPERATIONS]

    assert sorted(set(names)) == sorted(names)


async def _handler(app: web.Application, operation: Operation) -> object:
    path = operation.path
    for parameter in operation.spec.parameters:
        if parameter.location == "path":
            path = path.replace(f"{{{parameter.name}}}", parameter.example)
    match = await app.router.resolve(make_mocked_request(operation.method.upper(), path, app=app))
    return match.handler


def _routes(app: web.Application) -> Iterator[tuple[str, object]]:
    for route in app.router.routes():
        if route.method != "HEAD":
            yield route.method.lower(), route.handler
