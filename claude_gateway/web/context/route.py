"""Classes for a route and for the rule that applies to requests for the route."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from aiohttp import web

from claude_gateway.auth.schemas import RateLimitGroup
from claude_gateway.dialects.common.dialect_name import DialectName
from claude_gateway.openapi.spec import Operation, OperationSpec

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_PARAMETER = re.compile(r"\{(\w+)(?::([^{}]+))?\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteRule:
    """Rule for requests to a route. It contains the scope that the key must have, and the rate-limit group.

    Attributes:
        scope: The scope that the key must have; None if every key may send the request.
        rate_limit_group: The group of routes that share one rate limit; None if there is no limit.
    """

    scope: str | None
    rate_limit_group: RateLimitGroup | None


# The rule for a route that the route table does not list. If a developer forgets to list a route, clients still need a
# key for the route.
UNLISTED_ROUTE_RULE = RouteRule(scope="admin", rate_limit_group="general")
# The rule for a request that matches no route. The gateway responds to such a request with 404 or 405.
UNKNOWN_PATH_RULE = RouteRule(scope=None, rate_limit_group="general")


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """A route of the gateway. It assigns a handler to the requests with one HTTP method and one path.

    Attributes:
        method: The HTTP method. A GET route also accepts HEAD, unless `takes_head` is False.
        path: The path without its prefix, in the notation of aiohttp: `{name}` or `{name:regular expression}`.
        handler: The handler for the requests.
        rule: The scope that the key must have, and the rate limit.
        prefixes: The prefixes that a client may put before the path. The OpenAPI document shows the first prefix.
        dialect: The dialect of the requests; None if they have no dialect, or if only their headers show the dialect.
        is_dialect_from_headers: Whether several dialects share the path, so that only the headers show the dialect.
        is_open: Whether clients may send requests without a key.
        open_files: The paths for which clients need no key if the route is open; None if this applies to all its paths.
        operation: The description of the route in the OpenAPI document; None if the document omits the route.
        takes_head: Whether a GET route accepts HEAD.
    """

    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    handler: Handler
    rule: RouteRule
    prefixes: tuple[str, ...] = ("",)
    dialect: DialectName | None = None
    is_dialect_from_headers: bool = False
    is_open: bool = False
    open_files: frozenset[str] | None = None
    operation: OperationSpec | None = None
    takes_head: bool = True

    @property
    def methods(self) -> tuple[str, ...]:
        """The HTTP methods that the route accepts."""
        return ("HEAD", "GET") if self.method == "GET" and self.takes_head else (self.method,)

    @property
    def paths(self) -> tuple[str, ...]:
        """The full paths of the route. Each consists of one of the prefixes and the path."""
        return tuple(f"{prefix}{self.path}" for prefix in self.prefixes)

    @property
    def open_paths(self) -> frozenset[str]:
        """The paths of the route to which clients may send requests without a key."""
        if not self.is_open:
            return frozenset()
        return frozenset(self.paths) if self.open_files is None else self.open_files

    def path_pattern(self) -> re.Pattern[str]:
        """Return a regular expression that matches the paths of the route.

        If the path has no parameters, the expression also matches all paths below this path.
        """
        prefixes = "|".join(map(re.escape, self.prefixes))
        literals = _PARAMETER.split(self.path)[::3]
        parameters = [f"(?:{expression or '[^/]+'})" for _, expression in _PARAMETER.findall(self.path)]
        path = "".join(
            re.escape(literal) + parameter for literal, parameter in zip(literals, [*parameters, ""], strict=True)
        )
        return re.compile(f"(?:{prefixes}){path}{'' if parameters else '(?:/.*)?'}", re.DOTALL)

    def describe(self) -> Operation | None:
        """Return the description of the route for the OpenAPI document; None if the document omits the route."""
        if self.operation is None:
            return None
        path = self.operation.path or _PARAMETER.sub(r"{\1}", self.paths[0])
        dialect = None if self.is_dialect_from_headers else self.dialect or DialectName.OPENAI_CHAT
        return Operation(self.method.lower(), path, self.operation, dialect, needs_key=not self.is_open)
