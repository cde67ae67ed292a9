"""Every path, in one place."""

from aiohttp import web

from claude_gateway.web import (
    admin_keys,
    chat,
    files,
    gemini,
    inspection,
    live,
    mcp,
    messages,
    metrics,
    models,
    pages,
    reference,
    responses,
    sessions,
    status,
    tools,
    usage,
)

# People put the base URL one level off: without the /v1 that their program wants, or with one that it adds itself.
_PREFIXES = ("/v1", "", "/v1/v1")


def add_routes(app: web.Application) -> None:
    app.router.add_get("/", pages.home)
    app.router.add_get("/static/{path:.+}", pages.file)
    app.router.add_get("/openapi.json", reference.openapi)
    app.router.add_get("/docs", reference.docs)
    app.router.add_get("/docs/assets/{path:.+}", reference.asset)
    app.router.add_get("/redoc", reference.redoc)
    app.router.add_get("/health", status.health)
    app.router.add_get("/health/live", status.live)
    app.router.add_get("/health/ready", status.ready)
    app.router.add_get("/metrics", metrics.metrics)
    app.router.add_get("/version", status.versions)
    app.router.add_get("/v1/auth/status", status.auth_status)
    app.router.add_get("/v1/admin/live", live.live)
    app.router.add_get("/v1/usage", usage.usage)
    app.router.add_post("/v1/compatibility", inspection.compatibility)
    app.router.add_post("/v1/debug/request", inspection.debug)
    app.router.add_get("/v1/sessions", sessions.listed)
    app.router.add_get("/v1/sessions/stats", sessions.stats)
    app.router.add_get("/v1/sessions/{id:.+}/files", files.listed)
    app.router.add_get("/v1/sessions/{id:.+?}/files/{path:.+}", files.fetched, allow_head=False)
    app.router.add_put("/v1/sessions/{id:.+?}/files/{path:.+}", files.stored)
    app.router.add_delete("/v1/sessions/{id:.+?}/files/{path:.+}", files.deleted)
    # Whatever a caller called it, with slashes too.
    app.router.add_get("/v1/sessions/{id:.+}", sessions.shown)
    app.router.add_delete("/v1/sessions/{id:.+}", sessions.forgotten)
    app.router.add_get("/v1/tools", tools.listed)
    app.router.add_get("/v1/tools/config", tools.configuration)
    app.router.add_post("/v1/tools/config", tools.configured)
    app.router.add_get("/v1/tools/stats", tools.stats)
    app.router.add_get("/v1/admin/keys", admin_keys.listed)
    app.router.add_post("/v1/admin/keys", admin_keys.created)
    app.router.add_delete("/v1/admin/keys/{id}", admin_keys.revoked)
    app.router.add_post("/v1/admin/keys/{id}/rotate", admin_keys.rotated)
    app.router.add_get("/v1/mcp/servers", mcp.listed)
    app.router.add_post("/v1/mcp/servers", mcp.registered)
    app.router.add_delete("/v1/mcp/servers/{name}", mcp.deleted)
    app.router.add_post("/v1/mcp/connect", mcp.connected)
    app.router.add_post("/v1/mcp/disconnect", mcp.disconnected)
    app.router.add_get("/v1/mcp/stats", mcp.stats)
    for prefix in _PREFIXES:
        app.router.add_post(f"{prefix}/chat/completions", chat.chat_completions)
        app.router.add_post(f"{prefix}/responses", responses.create)
        app.router.add_get(f"{prefix}/responses", responses.refuse_upgrade)
        app.router.add_get(f"{prefix}/responses/{{id}}", responses.get)
        app.router.add_delete(f"{prefix}/responses/{{id}}", responses.delete)
        app.router.add_post(f"{prefix}/responses/{{id}}/cancel", responses.cancel)
        app.router.add_get(f"{prefix}/responses/{{id}}/input_items", responses.input_items)
        app.router.add_post(f"{prefix}/messages", messages.messages)
        app.router.add_post(f"{prefix}/messages/count_tokens", messages.count_tokens)
    # Google's programs say v1beta or v1; a name may hold slashes, which belong to no model of ours but to the name.
    for prefix in ("/v1beta", *_PREFIXES):
        app.router.add_get(f"{prefix}/models", models.models)
        app.router.add_get(f"{prefix}/models/{{id:.+}}", models.model)
        app.router.add_post(f"{prefix}/{{collection:models|tunedModels}}/{{call:.+}}", gemini.call)
