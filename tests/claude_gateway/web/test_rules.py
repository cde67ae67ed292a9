"""Each path demands its scope of a key, and none is forgotten."""

from typing import Any

import pytest
from pydantic import SecretStr

from claude_gateway.stores.keys import KeyStore
from claude_gateway.web.admission import OPEN_PATHS
from claude_gateway.web.rules import UNLISTED, Rule, rule_for
from tests.claude_gateway.scripted import HELLO, ScriptedDispatcher, scripted_app
from tests.claude_gateway.web.conftest import Serve
from tests.claude_gateway.web.test_admin_keys import API_KEY, bearer, make

SCOPES = ("chat", "tools", "mcp", "admin")
# One request for each kind of path, and the scope that it needs; none: any key will do.
DEMANDS: list[tuple[str, str, str | None]] = [
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
    ("DELETE", "/v1/admin/keys/a", "admin"),
    ("POST", "/v1/admin/keys/a/rotate", "admin"),
    ("GET", "/v1/models", None),
    ("GET", "/v1beta/models/claude-a", None),
    ("GET", "/v1/auth/status", None),
    ("GET", "/v1/nowhere", None),
]


@pytest.mark.promise("keys.scopes")
async def test_a_key_without_the_scope_of_a_path_is_refused_there_before_its_body_is_read(
    serve: Serve, keys: KeyStore
) -> None:
    dispatcher = ScriptedDispatcher.always(*HELLO)
    client = await serve(dispatcher, keys=keys, api_key=API_KEY)
    lacking = {scope: bearer(await make(client, scopes=[one for one in SCOPES if one != scope])) for scope in SCOPES}
    only = {scope: bearer(await make(client, scopes=[scope])) for scope in SCOPES}

    for method, path, scope in DEMANDS:
        for other in SCOPES:
            response = await client.request(method, path, headers=lacking[other], data=b"no body at all")
            refused = (response.status, await error_code(response)) == (403, "missing_scope")
            assert refused is (other == scope), (method, path, other)
        some = only[scope or "mcp"]
        response = await client.request(method, path, headers=some, data=b"no body at all")
        assert response.status not in (401, 403), (method, path)
    assert dispatcher.jobs == []


async def error_code(response: Any) -> str | None:
    if response.content_type != "application/json" or response.status < 400:
        return None
    error = (await response.json()).get("error", {})
    if "lacks the scope" in error.get("message", ""):
        return "missing_scope"
    return str(error.get("code"))


def test_every_path_of_the_gateway_stands_in_the_table() -> None:
    app = scripted_app(ScriptedDispatcher([]), api_key=SecretStr("x"))
    unlisted = [
        f"{route.method} {route.resource.canonical}"
        for route in app.router.routes()
        if route.resource is not None and rule_for(route.method, route.resource.canonical, "/x") is UNLISTED
    ]

    assert unlisted == [], "add a line to claude_gateway/web/rules.py"


def test_no_open_path_demands_a_scope() -> None:
    assert {rule_for("GET", path, path).scope for path in OPEN_PATHS} == {None}


@pytest.mark.parametrize(
    ("method", "routed", "path", "rule"),
    [
        ("POST", "/v1/{collection}/{call}", "/v1/models/claude-a:countTokens", Rule("count", "chat")),
        ("GET", "/v1/chat/completions/x", "/x", UNLISTED),
        ("GET", "/v1/toolsmith", "/x", UNLISTED),
        ("GET", "/something/new", "/something/new", UNLISTED),
    ],
)
def test_the_first_line_that_fits_a_path_counts(method: str, routed: str, path: str, rule: Rule) -> None:
    assert rule_for(method, routed, path) == rule
