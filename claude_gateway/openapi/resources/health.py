"""Descriptions of the operations that report the state of the gateway (`web/endpoints/health.py`)."""

from typing import Literal

from pydantic import Field

from claude_gateway.openapi.spec import OperationSpec, OptionalField, ResponseModel, ResponseSpec, Tag


class HealthResponse(ResponseModel):
    """The response to the health check. The response shows that the gateway is running."""

    status: Literal["healthy"]
    service: Literal["claude-gateway"]
    version: OptionalField[str] = Field(None, description="Only if the client has a valid API key.")


class LivenessResponse(ResponseModel):
    """The response to the liveness check. The response shows that the process of the gateway is running."""

    status: Literal["alive"]


class PoolCheck(ResponseModel):
    """The state of the worker pool.

    `serving` is true if jobs can run. If no worker is left because none had a job for a long time, it stays true, and
    the next job starts a worker. `workers` contains the number of workers in each state. `queue` contains the numbers
    of running and of waiting jobs.
    """

    serving: bool
    workers: dict[str, int]
    queue: dict[str, int]


class UsageRecordsCheck(ResponseModel):
    """The numbers of usage records that the gateway has not written to the disk.

    `pending` is the number of records that the gateway keeps until it can write to the disk again. `lost` is the number
    of records that the gateway has lost since its start.
    """

    pending: int
    lost: int


class LoginLimit(ResponseModel):
    """A limit of a login in one window of time, as the upstream reports it.

    `used_share` is the used share of the limit, 1 for all of it. `resets_at` is the end of the window, in seconds since
    the epoch. Both are null if they are unknown. The upstream reports limits only for subscriptions.
    """

    window: Literal[
        "five_hour",
        "seven_day",
        "seven_day_opus",
        "seven_day_sonnet",
        "seven_day_overage_included",
        "overage",
        "other",
    ]
    status: Literal["allowed", "allowed_warning", "rejected"]
    used_share: float | None
    resets_at: int | None


class LoginDetails(ResponseModel):
    """A login with which the gateway reaches the upstream.

    `valid` is false after the upstream has rejected the login, until it accepts a request. `failure` is the reason for
    which the gateway uses the next login, or null: the upstream has rejected the login (`authentication`) or its
    billing (`billing`), or no process starts with it (`start_failed`). `limited` is true while a limit is reached that
    concerns all models. `limited_until` is then the time of its reset, in seconds since the epoch, or null if the time
    is unknown. `limited_models` lists the models for which another limit is reached, as names or patterns with `*`.
    """

    name: str
    method: Literal["claude_cli", "anthropic_api_key", "aws_bedrock", "google_vertex"]
    valid: bool
    failure: Literal["authentication", "billing", "start_failed"] | None
    limited: bool
    limited_until: int | None
    limited_models: list[str]
    limits: list[LoginLimit]


LOGIN_EXAMPLE = {
    "name": "default",
    "method": "claude_cli",
    "valid": True,
    "failure": None,
    "limited": False,
    "limited_until": None,
    "limited_models": [],
    "limits": [{"window": "five_hour", "status": "allowed", "used_share": 0.42, "resets_at": 1796083897}],
}


class ReadinessChecks(ResponseModel):
    """The results of the checks. All except `login_limited` decide whether the gateway is ready.

    `login_limited` is true while a limit of each login is reached. The gateway then answers requests with status 429.
    """

    login: bool
    login_limited: bool
    pool: PoolCheck
    database: bool
    usage_records: UsageRecordsCheck


class ReadinessResponse(ResponseModel):
    """The response to the readiness check. The response shows whether the gateway can process chats.

    If the gateway cannot process chats, `reason` tells the operator what to do.
    """

    status: Literal["ready", "not_ready", "shutting_down"]
    checks: ReadinessChecks
    logins: OptionalField[list[LoginDetails]] = Field(
        None, description="Only if the client has a valid API key: the logins that the key may use."
    )
    reason: OptionalField[str] = None


class VersionResponse(ResponseModel):
    """The versions of the gateway, its API, the SDK and Claude Code.

    A client without a valid API key receives only the version of the API.
    """

    version: OptionalField[str] = None
    api_version: str
    sdk_version: OptionalField[str] = None
    cli_version: OptionalField[str] = None


class LoginStatus(ResponseModel):
    """The state of Claude Code's login. `valid` is true if Claude Code is logged in."""

    valid: bool
    details: str


class ClaudeCodeAuth(ResponseModel):
    """The method with which Claude Code logs in to the upstream, and the state of the login."""

    method: Literal["claude_cli", "anthropic_api_key", "aws_bedrock", "google_vertex"]
    status: LoginStatus


class ServerInfo(ResponseModel):
    """The version of the gateway, whether the gateway requires an API key, and from where it reads the keys."""

    api_key_required: bool
    api_key_source: Literal["environment", "database", "none"]
    version: str


class CurrentKeyInfo(ResponseModel):
    """The API key that the client sent with the request, without its secret."""

    key_id: str
    name: str
    scopes: list[str]


class AuthStatusResponse(ResponseModel):
    """The state of Claude Code's login, facts about the gateway, and the API key that the client sent."""

    claude_code_auth: ClaudeCodeAuth
    logins: list[LoginDetails]
    server_info: ServerInfo
    current_key: CurrentKeyInfo


_CHECKS = {
    "login": True,
    "login_limited": False,
    "pool": {"serving": True, "workers": {"ready": 2}, "queue": {"running": 0, "waiting": 0}},
    "usage_records": {"pending": 0, "lost": 0},
}

GET_HEALTH = OperationSpec(
    Tag.HEALTH,
    "Check that the gateway runs",
    {
        200: ResponseSpec(
            "The gateway runs.", HealthResponse, {"status": "healthy", "service": "claude-gateway", "version": "0.1.0"}
        )
    },
    error_statuses=(429,),
)
GET_LIVENESS = OperationSpec(
    Tag.HEALTH,
    "Check that the process runs, for service managers",
    {200: ResponseSpec("The process runs.", LivenessResponse, {"status": "alive"})},
    error_statuses=(429,),
)
GET_READINESS = OperationSpec(
    Tag.HEALTH,
    "Check that the gateway can process chats",
    {
        200: ResponseSpec(
            "The login, the workers and the database are ready.",
            ReadinessResponse,
            {"status": "ready", "checks": {**_CHECKS, "database": True}, "logins": [LOGIN_EXAMPLE]},
        ),
        503: ResponseSpec(
            "Something is not ready; `checks` and `reason` say what.",
            ReadinessResponse,
            {"status": "not_ready", "checks": {**_CHECKS, "database": False}},
        ),
    },
    error_statuses=(429,),
)
GET_VERSION = OperationSpec(
    Tag.HEALTH,
    "Get the versions of the gateway, the SDK, Claude Code and the API",
    {
        200: ResponseSpec(
            "The versions.",
            VersionResponse,
            {"version": "0.1.0", "api_version": "v1", "sdk_version": "0.2.189", "cli_version": "2.1.332"},
        )
    },
    error_statuses=(429,),
)
GET_AUTH_STATUS = OperationSpec(
    Tag.HEALTH,
    "Get the login of Claude Code and the permissions of the API key",
    {
        200: ResponseSpec(
            "The login as Claude Code reports it, and the API key of the request.",
            AuthStatusResponse,
            {
                "claude_code_auth": {
                    "method": "claude_cli",
                    "status": {"valid": True, "details": "Claude Code reports a login by claude_cli"},
                },
                "logins": [LOGIN_EXAMPLE],
                "server_info": {"api_key_required": True, "api_key_source": "environment", "version": "0.1.0"},
                "current_key": {"key_id": "environment", "name": "", "scopes": ["admin", "chat", "mcp", "tools"]},
            },
        )
    },
)
