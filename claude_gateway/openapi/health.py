"""What `web/status.py` answers."""

from typing import Literal

from pydantic import Field

from claude_gateway.openapi.operation import Answer, Answered, Group, Maybe, Operation


class HealthAnswer(Answered):
    status: Literal["healthy"]
    service: Literal["claude-gateway"]
    version: Maybe[str] = Field(None, description="To callers with a key alone.")


class LiveAnswer(Answered):
    status: Literal["alive"]


class PoolCheck(Answered):
    serving: bool
    workers: dict[str, int]
    queue: dict[str, int]


class LedgerCheck(Answered):
    """Lines that wait for a disk that takes them, and those given up since the start."""

    waiting: int
    lost: int


class Checks(Answered):
    login: bool
    pool: PoolCheck
    store: bool
    ledger: LedgerCheck


class ReadyAnswer(Answered):
    """`reason` says in words what an owner must do."""

    status: Literal["ready", "not_ready", "stopping"]
    checks: Checks
    reason: Maybe[str] = None


class VersionAnswer(Answered):
    """Callers without a key are told the version of the API alone."""

    version: Maybe[str] = None
    api_version: str
    sdk_version: Maybe[str] = None
    cli_version: Maybe[str] = None


class LoginStatus(Answered):
    valid: bool
    details: str


class ClaudeCodeAuth(Answered):
    method: Literal["claude_cli", "anthropic_api_key", "aws_bedrock", "google_vertex"]
    status: LoginStatus


class ServerInfo(Answered):
    api_key_required: bool
    api_key_source: str
    version: str


class CallerInfo(Answered):
    """The calling key."""

    key_id: str
    name: str
    scopes: list[str]


class AuthAnswer(Answered):
    claude_code_auth: ClaudeCodeAuth
    server_info: ServerInfo
    caller: CallerInfo


_READY = {
    "login": True,
    "pool": {"serving": True, "workers": {"ready": 2}, "queue": {"running": 0, "waiting": 0}},
    "ledger": {"waiting": 0, "lost": 0},
}

OPERATIONS = (
    Operation(
        "get",
        "/health",
        Group.HEALTH,
        "The gateway lives",
        {200: Answer("It does.", HealthAnswer, {"status": "healthy", "service": "claude-gateway", "version": "0.1.0"})},
        errors=(429,),
        needs_key=False,
    ),
    Operation(
        "get",
        "/health/live",
        Group.HEALTH,
        "The gateway lives, for those who restart it",
        {200: Answer("It does.", LiveAnswer, {"status": "alive"})},
        errors=(429,),
        needs_key=False,
    ),
    Operation(
        "get",
        "/health/ready",
        Group.HEALTH,
        "The gateway can answer",
        {
            200: Answer(
                "Login, workers and database are there.",
                ReadyAnswer,
                {"status": "ready", "checks": {**_READY, "store": True}},
            ),
            503: Answer(
                "Something is missing, and named.",
                ReadyAnswer,
                {"status": "not_ready", "checks": {**_READY, "store": False}},
            ),
        },
        errors=(429,),
        needs_key=False,
    ),
    Operation(
        "get",
        "/version",
        Group.HEALTH,
        "Versions of gateway, SDK, Claude Code and API",
        {
            200: Answer(
                "They are these.",
                VersionAnswer,
                {"version": "0.1.0", "api_version": "v1", "sdk_version": "0.2.189", "cli_version": "2.1.332"},
            )
        },
        errors=(429,),
        needs_key=False,
    ),
    Operation(
        "get",
        "/v1/auth/status",
        Group.HEALTH,
        "Which login Claude Code uses, and what the calling key may do",
        {
            200: Answer(
                "As Claude Code reports it.",
                AuthAnswer,
                {
                    "claude_code_auth": {
                        "method": "claude_cli",
                        "status": {"valid": True, "details": "Claude Code reports a login by claude_cli"},
                    },
                    "server_info": {"api_key_required": True, "api_key_source": "environment", "version": "0.1.0"},
                    "caller": {"key_id": "environment", "name": "", "scopes": ["admin", "chat", "mcp", "tools"]},
                },
            )
        },
    ),
    Operation(
        "get",
        "/metrics",
        Group.HEALTH,
        "What Prometheus reads",
        {200: Answer("Counters, histograms and gauges, in the text format.", content_type="text/plain")},
        errors=(403,),
    ),
)
