"""Route table of the gateway.

It contains the path, handler, scope, rate limit, dialect and OpenAPI operation of each route.
"""

from claude_gateway.dialects.common.dialect_name import DialectName
from claude_gateway.openapi.resources import admin_keys as admin_keys_spec
from claude_gateway.openapi.resources import admin_live as admin_live_spec
from claude_gateway.openapi.resources import chat as chat_spec
from claude_gateway.openapi.resources import debug as debug_spec
from claude_gateway.openapi.resources import gemini as gemini_spec
from claude_gateway.openapi.resources import health as health_spec
from claude_gateway.openapi.resources import mcp as mcp_spec
from claude_gateway.openapi.resources import messages as messages_spec
from claude_gateway.openapi.resources import metrics as metrics_spec
from claude_gateway.openapi.resources import models as models_spec
from claude_gateway.openapi.resources import responses as responses_spec
from claude_gateway.openapi.resources import session_files as session_files_spec
from claude_gateway.openapi.resources import sessions as sessions_spec
from claude_gateway.openapi.resources import tools as tools_spec
from claude_gateway.openapi.resources import usage as usage_spec
from claude_gateway.web.context.route import Route, RouteRule
from claude_gateway.web.endpoints import (
    admin_keys,
    admin_live,
    chat,
    debug,
    gemini,
    health,
    mcp,
    messages,
    metrics,
    models,
    responses,
    session_files,
    sessions,
    tools,
    usage,
)
from claude_gateway.web.pages import api_docs, home

# People often configure a client with a base URL that lacks the /v1 that the client needs, or that contains a /v1
# although the client adds one. Therefore the gateway accepts these three prefixes.
V1 = ("/v1", "", "/v1/v1")
# Google's client libraries use v1beta or v1.
V1BETA = (*V1, "/v1beta")

_UNLIMITED = RouteRule(scope=None, rate_limit_group=None)
_JOB = RouteRule(scope="chat", rate_limit_group="chat")
_TOKEN_COUNT = RouteRule(scope="chat", rate_limit_group="count_tokens")
_CHAT = RouteRule(scope="chat", rate_limit_group="general")
_DEBUG = RouteRule(scope="chat", rate_limit_group="debug")
_SESSIONS = RouteRule(scope="chat", rate_limit_group="session")
_SESSION_FILES = RouteRule(scope="tools", rate_limit_group="session")
_TOOLS = RouteRule(scope="tools", rate_limit_group="general")
_MCP = RouteRule(scope="mcp", rate_limit_group="general")
_USAGE = RouteRule(scope=None, rate_limit_group="general")
_AUTH = RouteRule(scope=None, rate_limit_group="auth")
_HEALTH = RouteRule(scope=None, rate_limit_group="health")
_ADMIN = RouteRule(scope="admin", rate_limit_group="general")
_METRICS = RouteRule(scope="admin", rate_limit_group=None)

_RESPONSES = DialectName.OPENAI_RESPONSES
_GEMINI = DialectName.GEMINI
# Every path that begins with one of these prefixes belongs to the dialect of the prefix.
DIALECTS_BY_PREFIX = {"/v1beta": _GEMINI}
# The name of a model may contain slashes.
_MODEL_METHOD = "/{collection:models|tunedModels}/{call:.*:%s}"

_PAGES = (
    Route("GET", "/", home.get_home_page, _UNLIMITED, is_open=True),
    Route(
        "GET",
        "/static/{path:.+}",
        home.get_static_file,
        _UNLIMITED,
        is_open=True,
        open_files=frozenset(home.FILES_BY_PATH),
    ),
    Route("GET", "/openapi.json", api_docs.get_openapi, _UNLIMITED, is_open=True),
    Route("GET", "/docs", api_docs.get_docs_page, _UNLIMITED, is_open=True),
    Route(
        "GET",
        "/docs/assets/{path:.+}",
        api_docs.get_docs_asset,
        _UNLIMITED,
        is_open=True,
        open_files=api_docs.ASSET_PATHS,
    ),
    Route("GET", "/redoc", api_docs.get_redoc_page, _UNLIMITED, is_open=True),
)
_CHATS = (
    Route(
        "POST",
        "/chat/completions",
        chat.create_chat_completion,
        _JOB,
        V1,
        DialectName.OPENAI_CHAT,
        operation=chat_spec.CREATE_CHAT_COMPLETION,
    ),
    Route(
        "POST", "/responses", responses.create_response, _JOB, V1, _RESPONSES, operation=responses_spec.CREATE_RESPONSE
    ),
    Route("GET", "/responses", responses.refuse_websocket, _CHAT, V1, _RESPONSES),
    Route(
        "GET", "/responses/{id}", responses.get_response, _CHAT, V1, _RESPONSES, operation=responses_spec.GET_RESPONSE
    ),
    Route(
        "DELETE",
        "/responses/{id}",
        responses.delete_response,
        _CHAT,
        V1,
        _RESPONSES,
        operation=responses_spec.DELETE_RESPONSE,
    ),
    Route(
        "POST",
        "/responses/{id}/cancel",
        responses.cancel_response,
        _CHAT,
        V1,
        _RESPONSES,
        operation=responses_spec.CANCEL_RESPONSE,
    ),
    Route(
        "GET",
        "/responses/{id}/input_items",
        responses.list_input_items,
        _CHAT,
        V1,
        _RESPONSES,
        operation=responses_spec.LIST_INPUT_ITEMS,
    ),
    Route(
        "POST",
        "/messages",
        messages.create_message,
        _JOB,
        V1,
        DialectName.ANTHROPIC,
        operation=messages_spec.CREATE_MESSAGE,
    ),
    Route(
        "POST",
        "/messages/count_tokens",
        messages.count_tokens,
        _TOKEN_COUNT,
        V1,
        DialectName.ANTHROPIC,
        operation=messages_spec.COUNT_TOKENS,
    ),
    Route(
        "POST",
        _MODEL_METHOD % "generateContent",
        gemini.generate_content,
        _JOB,
        V1BETA,
        _GEMINI,
        operation=gemini_spec.GENERATE_CONTENT,
    ),
    Route(
        "POST",
        _MODEL_METHOD % "streamGenerateContent",
        gemini.stream_generate_content,
        _JOB,
        V1BETA,
        _GEMINI,
        operation=gemini_spec.STREAM_GENERATE_CONTENT,
    ),
    Route(
        "POST",
        _MODEL_METHOD % "countTokens",
        gemini.count_tokens,
        _TOKEN_COUNT,
        V1BETA,
        _GEMINI,
        operation=gemini_spec.COUNT_TOKENS,
    ),
    Route("POST", _MODEL_METHOD % "[A-Za-z]+", gemini.refuse_method, _JOB, V1BETA, _GEMINI),
    Route(
        "POST",
        "/{collection:models|tunedModels}/{call:.+}",
        gemini.refuse_method,
        _JOB,
        V1BETA,
    ),
    Route("POST", "/v1/compatibility", debug.check_compatibility, _CHAT, operation=debug_spec.CHECK_COMPATIBILITY),
    Route("POST", "/v1/debug/request", debug.debug_request, _DEBUG, operation=debug_spec.DEBUG_REQUEST),
    Route(
        "GET",
        "/models",
        models.list_models,
        _UNLIMITED,
        V1BETA,
        is_dialect_from_headers=True,
        operation=models_spec.LIST_MODELS,
    ),
    Route(
        "GET",
        "/models/{id:.+}",
        models.get_model,
        _UNLIMITED,
        V1BETA,
        is_dialect_from_headers=True,
        operation=models_spec.GET_MODEL,
    ),
)
# Clients choose the names of their sessions, and a name may contain slashes. The routes for files come before the
# routes for sessions, because a path of a file also matches the pattern for a session.
_FILE_PATH = "/v1/sessions/{id:.+?}/files/{path:.+}"
_SESSION_ROUTES = (
    Route("GET", "/v1/sessions", sessions.list_sessions, _SESSIONS, operation=sessions_spec.LIST_SESSIONS),
    Route(
        "GET", "/v1/sessions/stats", sessions.get_session_stats, _SESSIONS, operation=sessions_spec.GET_SESSION_STATS
    ),
    Route(
        "GET",
        "/v1/sessions/{id:.+}/files",
        session_files.list_files,
        _SESSION_FILES,
        operation=session_files_spec.LIST_FILES,
    ),
    Route(
        "GET",
        _FILE_PATH,
        session_files.download_file,
        _SESSION_FILES,
        operation=session_files_spec.DOWNLOAD_FILE,
        takes_head=False,
    ),
    Route("PUT", _FILE_PATH, session_files.upload_file, _SESSION_FILES, operation=session_files_spec.UPLOAD_FILE),
    Route("DELETE", _FILE_PATH, session_files.delete_file, _SESSION_FILES, operation=session_files_spec.DELETE_FILE),
    Route("GET", "/v1/sessions/{id:.+}", sessions.get_session, _SESSIONS, operation=sessions_spec.GET_SESSION),
    Route("DELETE", "/v1/sessions/{id:.+}", sessions.delete_session, _SESSIONS, operation=sessions_spec.DELETE_SESSION),
)
_TOOL_ROUTES = (
    Route("GET", "/v1/tools", tools.list_tools, _TOOLS, operation=tools_spec.LIST_TOOLS),
    Route("GET", "/v1/tools/config", tools.get_tool_config, _TOOLS, operation=tools_spec.GET_TOOL_CONFIG),
    Route("POST", "/v1/tools/config", tools.update_tool_config, _TOOLS, operation=tools_spec.UPDATE_TOOL_CONFIG),
    Route("GET", "/v1/tools/stats", tools.get_tool_stats, _TOOLS, operation=tools_spec.GET_TOOL_STATS),
    Route("GET", "/v1/mcp/servers", mcp.list_servers, _MCP, operation=mcp_spec.LIST_SERVERS),
    Route("POST", "/v1/mcp/servers", mcp.register_server, _MCP, operation=mcp_spec.REGISTER_SERVER),
    Route("DELETE", "/v1/mcp/servers/{name}", mcp.delete_server, _MCP, operation=mcp_spec.DELETE_SERVER),
    Route("POST", "/v1/mcp/connect", mcp.connect_server, _MCP, operation=mcp_spec.CONNECT_SERVER),
    Route("POST", "/v1/mcp/disconnect", mcp.disconnect_server, _MCP, operation=mcp_spec.DISCONNECT_SERVER),
    Route("GET", "/v1/mcp/stats", mcp.get_mcp_stats, _MCP, operation=mcp_spec.GET_MCP_STATS),
)
_OPERATION_ROUTES = (
    Route("GET", "/v1/usage", usage.get_usage, _USAGE, operation=usage_spec.GET_USAGE),
    Route("GET", "/v1/admin/live", admin_live.stream_live, _ADMIN, operation=admin_live_spec.STREAM_LIVE),
    Route("GET", "/v1/admin/keys", admin_keys.list_keys, _ADMIN, operation=admin_keys_spec.LIST_KEYS),
    Route("POST", "/v1/admin/keys", admin_keys.create_key, _ADMIN, operation=admin_keys_spec.CREATE_KEY),
    Route("POST", "/v1/admin/keys/{id}", admin_keys.update_key, _ADMIN, operation=admin_keys_spec.UPDATE_KEY),
    Route("DELETE", "/v1/admin/keys/{id}", admin_keys.revoke_key, _ADMIN, operation=admin_keys_spec.REVOKE_KEY),
    Route("POST", "/v1/admin/keys/{id}/rotate", admin_keys.rotate_key, _ADMIN, operation=admin_keys_spec.ROTATE_KEY),
    Route("GET", "/health", health.get_health, _HEALTH, is_open=True, operation=health_spec.GET_HEALTH),
    Route("GET", "/health/live", health.get_liveness, _HEALTH, is_open=True, operation=health_spec.GET_LIVENESS),
    Route("GET", "/health/ready", health.get_readiness, _HEALTH, is_open=True, operation=health_spec.GET_READINESS),
    Route("GET", "/version", health.get_version, _HEALTH, is_open=True, operation=health_spec.GET_VERSION),
    Route("GET", "/v1/auth/status", health.get_auth_status, _AUTH, operation=health_spec.GET_AUTH_STATUS),
    Route("GET", "/metrics", metrics.get_metrics, _METRICS, operation=metrics_spec.GET_METRICS),
)

# If several routes match a path, the gateway uses the first one. The OpenAPI document lists the routes in the same
# order.
ROUTES: tuple[Route, ...] = (*_PAGES, *_CHATS, *_SESSION_ROUTES, *_TOOL_ROUTES, *_OPERATION_ROUTES)
