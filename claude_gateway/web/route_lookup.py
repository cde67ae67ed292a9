"""Lookups in the route table. They find the paths that need no key, and the methods, rules and dialects of paths."""

import re
from collections.abc import Iterable, Iterator, Mapping

from aiohttp import web

from claude_gateway.dialects.common.dialect_name import DialectName
from claude_gateway.openapi.spec import Operation
from claude_gateway.web.context.route import UNKNOWN_PATH_RULE, UNLISTED_ROUTE_RULE, Route, RouteRule
from claude_gateway.web.context.state import OPERATIONS
from claude_gateway.web.routes import DIALECTS_BY_PREFIX, ROUTES

# A client may send requests for these paths without an API key.
OPEN_PATHS = frozenset(path for route in ROUTES for path in route.open_paths)
# Every HTTP method that at least one route accepts, in the usual order.
METHODS = tuple(
    method for method in ("GET", "HEAD", "POST", "PUT", "DELETE") if any(method in route.methods for route in ROUTES)
)
DOCUMENTED_OPERATIONS: tuple[Operation, ...] = tuple(
    operation for route in ROUTES if (operation := route.describe()) is not None
)
# Google's client libraries send these headers on every path.
_GOOGLE_HEADERS = ("x-goog-api-key", "x-goog-api-client")
_ROUTES_BY_AIOHTTP_ROUTE: web.AppKey[dict[web.AbstractRoute, Route]] = web.AppKey("routes", dict)


def _iterate_dialect_paths(routes: Iterable[Route]) -> Iterator[tuple[re.Pattern[str], DialectName]]:
    for prefix, dialect in DIALECTS_BY_PREFIX.items():
        yield re.compile(f"{re.escape(prefix)}(?:/.*)?", re.DOTALL), dialect
    for route in routes:
        if route.dialect is not None:
            yield route.path_pattern(), route.dialect


_DIALECT_PATHS = tuple(_iterate_dialect_paths(ROUTES))
_SHARED_PATHS = tuple(route.path_pattern() for route in ROUTES if route.is_dialect_from_headers)


def add_routes(app: web.Application) -> None:
    """Add every route of the table to the application."""
    routes: dict[web.AbstractRoute, Route] = {}
    for route in ROUTES:
        for path in route.paths:
            resource = app.router.add_resource(path)
            routes |= {resource.add_route(method, route.handler): route for method in route.methods}
    app[_ROUTES_BY_AIOHTTP_ROUTE] = routes
    app[OPERATIONS] = DOCUMENTED_OPERATIONS


def find_rule(request: web.Request) -> RouteRule:
    """Return the rule for a request. It contains the scope that the key must have, and the rate-limit group."""
    if request.match_info.route.resource is None:
        return UNKNOWN_PATH_RULE
    route = _find_route(request)
    return UNLISTED_ROUTE_RULE if route is None else route.rule


def detect_dialect(request: web.Request) -> DialectName | None:
    """Return the dialect in which the gateway responds to a request; None if the request has no dialect.

    The gateway detects the dialect by the path, before it reads the body. If several dialects share the path, the
    gateway uses the headers that the client libraries of each dialect always send.
    """
    route = _find_route(request)
    if route is not None and route.dialect is not None:
        return route.dialect
    if (dialect := find_path_dialect(request.path)) is not None:
        return dialect
    if any(pattern.fullmatch(request.path) for pattern in _SHARED_PATHS):
        return _detect_by_headers(request.headers, request.query)
    return None


def find_path_dialect(path: str) -> DialectName | None:
    """Return the dialect to which a path belongs, even if no route matches the path."""
    return next((dialect for pattern, dialect in _DIALECT_PATHS if pattern.fullmatch(path)), None)


def _detect_by_headers(headers: Mapping[str, str], query: Mapping[str, str]) -> DialectName | None:
    if "key" in query or any(name in headers for name in _GOOGLE_HEADERS):
        return DialectName.GEMINI
    return DialectName.ANTHROPIC if "anthropic-version" in headers else None


def _find_route(request: web.Request) -> Route | None:
    return request.app[_ROUTES_BY_AIOHTTP_ROUTE].get(request.match_info.route)
