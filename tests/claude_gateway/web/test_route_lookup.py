"""Scopes, rules and dialects of all routes."""

from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from pydantic import SecretStr

from claude_gateway.auth.key_store import KeyStore
from claude_gateway.dialects.common.dialect_name import DialectName
from claude_gateway.web.context.route import UNKNOWN_PATH_RULE, UNLISTED_ROUTE_RULE, RouteRule
from claude_gateway.web.pages import home
from claude_gateway.web.route_lookup import OPEN_PATHS, detect_dialect, find_rule
from claude_gateway.web.routes import ROUTES
from tests.claude_gateway.scripted import HELLO_EVENTS, ScriptedWorkerSource, build_scripted_app
from tests.claude_gateway.web.conftest import Serve
from tests.claude_gateway.web.endpoints.test_admin_keys import API_KEY, bearer, create_key

SCOPES = ("chat", "tools", "mcp", "admin")
# One request for each kind of path, and the scope that it needs; None if every key may send it.
REQUIRED_SCOPES: list[tuple[str, str, str | None]] = [
    ("POST", "/v1/chat/completions", "chat"),
    ("POST", "/chat/completions", "chat"),
    ("POST", "/v1/v1/messages", "chat"),
    ("POST", "/v1/messages", "chat"),
    ("POST", "/messages/count_tokens", "chat"),
    ("POST", "/v1/responses", "chat"),
    ("GET", "/v1/responses/resp_1", "chat"),
    ("DELETE", "/responses/resp_1", "chat"),
    ("POST", "/v1/responses/resp_1/cancel", "chat"),
    ("GET", "/v1/responses/resp_1/input_items", "chat"),
    ("POST", "/v1beta/models/claude-a:generateContent", "chat"),
    ("POST", "/v1/models/claude-a:streamGenerateContent", "chat"),
    ("POST", "/models/claude-a:countTokens", "chat"),
    ("POST", "/v1beta/tunedModels/a:generateContent", "chat"),
    ("GET", "/v1/sessions", "chat"),
    ("GET", "/v1/sessions/stats", "chat"),
    ("DELETE", "/v1/sessions/a/b", "chat"),
    ("GET", "/v1/sessions/a/b/files/c/d", "tools"),
    ("PUT", "/v1/sessions/a/files/b", "tools"),
    ("GET", "/v1/tools", "tools"),
    ("POST", "/v1/tools/config", "tools"),
    ("GET", "/v1/admin/keys", "admin"),
    ("POST", "/v1/admin/keys", "admin"),
    ("POST", "/v1/admin/keys/a", "admin"),
    ("DELETE", "/v1/admin/keys/a", "admin"),
    ("POST", "/v1/admin/keys/a/rotate", "admin"),
    ("GET", "/v1/models", None),
    ("GET", "/v1beta/models/claude-a", None),
    ("GET", "/v1/auth/status", None),
    ("GET", "/v1/nowhere", None),
]


@pytest.mark.promise("keys.scopes")
async def test_rejects_key_without_the_scope_of_a_path_before_reading_the_body(serve: Serve, keys: KeyStore) -> None:
    worker_source = ScriptedWorkerSource.repeating(*HELLO_EVENTS)
    client = await serve(worker_source, keys=keys, api_key=API_KEY)
    keys_without_scope = {
        scope: bearer(await create_key(client, scopes=[value for value in SCOPES if value != scope]))
        for scope in SCOPES
    }
    keys_with_scope = {scope: bearer(await create_key(client, scopes=[scope])) for scope in SCOPES}

    for method, path, scope in REQUIRED_SCOPES:
        for missing_scope in SCOPES:
            response = await client.request(
                method, path, headers=keys_without_scope[missing_scope], data=b"no body at all"
            )
            is_refused = (response.status, await read_error_code(response)) == (403, "missing_scope")
            assert is_refused is (missing_scope == scope), (method, path, missing_scope)
        headers = keys_with_scope[scope or "mcp"]
        response = await client.request(method, path, headers=headers, data=b"no body at all")
        assert response.status not in (401, 403), (method, path)
    assert worker_source.jobs == []


async def read_error_code(response: Any) -> str | None:
    if response.content_type != "application/json" or response.status < 400:
        return None
    error = (await response.json()).get("error", {})
    if "lacks the scope" in error.get("message", ""):
        return "missing_scope"
    return str(error.get("code"))


def test_every_route_is_in_the_route_table() -> None:
    app = build_scripted_app(ScriptedWorkerSource([]), api_key=SecretStr("x"))
    listed = {(method, _canonical(path)) for route in ROUTES for path in route.paths for method in route.methods}
    routed = {(route.method, route.resource.canonical) for route in app.router.routes() if route.resource is not None}

    assert routed == listed, "add a line to claude_gateway/web/routes.py"


def _canonical(path: str) -> str:
    return str(web.UrlDispatcher().add_resource(path).canonical)


def test_open_paths_require_no_scope() -> None:
    assert {route.rule.scope for route in ROUTES if route.open_paths} == {None}
    assert {
        "/",
        "/health",
        "/health/live",
        "/health/ready",
        "/version",
        "/openapi.json",
        "/docs",
        "/redoc",
    } < OPEN_PATHS


@pytest.mark.parametrize(
    ("method", "path", "rule"),
    [
        ("POST", "/v1/models/claude-a:countTokens", RouteRule(rate_limit_group="count_tokens", scope="chat")),
        ("POST", "/v1/models/claude-a:generateContent", RouteRule(rate_limit_group="chat", scope="chat")),
        ("GET", "/v1/toolsmith", UNKNOWN_PATH_RULE),
        ("GET", "/v1/chat/completions", UNKNOWN_PATH_RULE),
        ("GET", "/something/new", UNLISTED_ROUTE_RULE),
    ],
)
async def test_path_has_the_rule_of_its_route(method: str, path: str, rule: RouteRule) -> None:
    app = build_scripted_app(ScriptedWorkerSource([]), api_key=SecretStr("x"))
    # The route table does not list this route.
    app.router.add_get("/something/new", home.get_home_page)

    assert find_rule(await _resolve(app, method, path)) == rule


@pytest.mark.parametrize(
    ("path", "headers", "dialect"),
    [
        ("/v1/chat/completions", {}, DialectName.OPENAI_CHAT),
        ("/v1/v1/responses/resp_1/nowhere", {}, DialectName.OPENAI_RESPONSES),
        ("/messages/count_tokens", {}, DialectName.ANTHROPIC),
        ("/v1beta/nowhere", {}, DialectName.GEMINI),
        ("/v1/models/a/b:embedContent", {}, DialectName.GEMINI),
        ("/v1/models", {}, None),
        ("/v1/models/claude-a", {"anthropic-version": "2023-06-01"}, DialectName.ANTHROPIC),
        ("/models", {"x-goog-api-key": "x"}, DialectName.GEMINI),
        ("/v1beta/models", {"anthropic-version": "2023-06-01"}, DialectName.GEMINI),
        ("/v1/usage", {"anthropic-version": "2023-06-01"}, None),
        ("/v1/modelsmith", {"x-goog-api-key": "x"}, None),
    ],
)
async def test_detects_dialect_by_path_or_headers(
    path: str, headers: dict[str, str], dialect: DialectName | None
) -> None:
    app = build_scripted_app(ScriptedWorkerSource([]), api_key=SecretStr("x"))

    assert detect_dialect(await _resolve(app, "GET", path, headers)) is dialect


async def _resolve(app: web.Application, method: str, path: str, headers: dict[str, str] | None = None) -> web.Request:
    request = make_mocked_request(method, path, headers=headers, app=app)
    match_info = await app.router.resolve(request)
    match_info.add_app(app)
    request._match_info = match_info  # type: ignore[assignment]
    return request
