"""What each thing that was seen means for a gateway, and what to do about it. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from claude_gateway.claude_code.login import reports_login
from claude_gateway.config import Settings
from claude_gateway.doctor.findings import Finding, failed, ok, skipped, warning
from claude_gateway.stores.damaged_rows import Damage
from claude_gateway.stores.schema import SCRIPTS
from workers.settings import AuthMethod

_MIB = 2**20
# Below this SQLite and the workers' directories soon fail; above the other nothing need be said.
_DISK_FULL_BYTES = 64 * _MIB
_DISK_LOW_BYTES = 1024 * _MIB
# A booted process grows by half while it works.
_GROWTH = 1.5
_MAX_NAMED = 10
# Of each worker three pipes, and what the gateway itself holds.
_FILES_A_WORKER = 4
_FILES_OF_ITS_OWN = 64
_LOGIN = "claude-gateway login, as the user who serves; or ANTHROPIC_API_KEY"


def version(seen: str, pinned: str, path: str) -> Finding:
    subject = "Version of Claude Code"
    if seen == pinned:
        return ok(subject, f"{seen}, the one that this gateway was made for")
    return warning(
        subject,
        f"{seen or 'unknown'}; this gateway was made for {pinned}",
        f"unset CLAUDE_CLI_PATH, or see what holds there: claude-gateway check-cli {path}",
    )


def login(method: AuthMethod, account: Mapping[str, Any]) -> Finding:
    subject = f"Login ({method.value})"
    if method in (AuthMethod.BEDROCK, AuthMethod.VERTEX):
        return ok(subject, "left to the cloud's own credentials, which the first answer shows")
    if not reports_login(method, account):
        return failed(subject, "Claude Code says that it has none", _LOGIN)
    source = next(str(account[name]) for name in ("tokenSource", "apiKeySource") if account.get(name, "none") != "none")
    return ok(subject, f"Claude Code has one, from {source}; whether it is still valid, the first answer shows")


def sandbox(complaint: str | None, *, unsandboxed: bool) -> Finding:
    subject = "Sandbox of Claude's own tools"
    if complaint is None:
        return ok(subject, "bubblewrap makes one, and one within it")
    what = "commands run without one" if unsandboxed else "Bash is off; chats are not touched by it"
    remedy = "apt-get install bubblewrap socat ripgrep util-linux; allow unprivileged user namespaces"
    if "CLAUDE_CODE_OAUTH_TOKEN" in complaint:
        remedy = "serve as a user of its own; or `claude setup-token`, and CLAUDE_CODE_OAUTH_TOKEN"
    if "AWS_BEARER_TOKEN_BEDROCK" in complaint:
        remedy = "AWS_BEARER_TOKEN_BEDROCK, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; or a role of the machine's"
    return warning(subject, f"{complaint}: {what}", remedy)


def disk(free: int, path: str) -> Finding:
    subject = "Free disk"
    seen = f"{free // _MIB:,} MiB at {path}"
    if free < _DISK_FULL_BYTES:
        return failed(subject, seen, "make room, or set STATE_DIR elsewhere: nothing can be remembered there")
    if free < _DISK_LOW_BYTES:
        return warning(subject, seen, "make room before sessions and stored responses need it")
    return ok(subject, seen)


def memory(settings: Settings, worker_mib: float, available_mib: float) -> Finding:
    """`available_mib` for all workers together, those that run already included."""
    subject = "Memory"
    chats = settings.chat_workers + settings.chat_spare_workers
    agents = settings.agent_workers + settings.agent_spare_workers
    need = round((chats + agents) * worker_mib * _GROWTH)
    seen = (
        f"{chats} processes for chats and {agents} with tools need some {need:,} MiB "
        f"({worker_mib:.0f} MiB each when booted); {available_mib:,.0f} MiB can be had"
    )
    if need > available_mib:
        return failed(subject, seen, "fewer CHAT_WORKERS, AGENT_WORKERS or spares; or more memory")
    return ok(subject, seen)


def open_files(settings: Settings, limit: int) -> Finding:
    subject = "Open files"
    workers = (
        settings.chat_workers + settings.chat_spare_workers + settings.agent_workers + settings.agent_spare_workers
    )
    need = settings.max_connections + workers * _FILES_A_WORKER + _FILES_OF_ITS_OWN
    seen = f"at most {limit:,}; {settings.max_connections:,} connections and {workers} processes may need {need:,}"
    if need > limit:
        return failed(subject, seen, f"LimitNOFILE={need} in the unit (ulimit -Hn), or a lower MAX_CONNECTIONS")
    return ok(subject, seen)


def database(path: str, found: int | None, complaint: str) -> Finding:
    """`found` is its version, None where there is no database yet."""
    subject = "Database"
    if complaint:
        return failed(subject, f"{path}: {complaint}", "put a backup in its place, or move it away to begin anew")
    if found is None:
        return ok(subject, f"none yet at {path}; the first start makes it")
    if found > len(SCRIPTS):
        newer = f"made by a newer claude-gateway (version {found}; this one knows {len(SCRIPTS)})"
        return failed(subject, newer, "install that version again, or set another STATE_DIR")
    if found < len(SCRIPTS):
        return ok(subject, f"{path}: whole; of version {found}, brought to {len(SCRIPTS)} by the next start")
    return ok(subject, f"{path}: whole, and of this version ({found})")


def stored_rows(found: Damage | None) -> Finding:
    """What is stored, row by row."""
    subject = "Stored rows"
    if found is None:
        return skipped(subject, "there is no database that could be read")
    if found.rows:
        more = f", and {len(found.rows) - _MAX_NAMED} more" if len(found.rows) > _MAX_NAMED else ""
        seen = f"{'; '.join(found.rows[:_MAX_NAMED])}{more}"
        return warning(subject, f"left out, because they cannot be read: {seen}", "restore a backup, or delete them")
    if not found.is_complete:
        return ok(subject, "all that were looked at can be read; there was no time for the rest")
    return ok(subject, "each of them can be read")


def clock(now: float, newest: float) -> Finding:
    """`newest` is when the newest file was written that this gateway knows."""
    subject = "Clock"
    if now < newest - 60:
        behind = f"it is {newest - now:,.0f} s behind the newest file of this gateway"
        return failed(subject, behind, "set the clock (timedatectl set-ntp true): what is stored expires by it")
    return ok(subject, "not behind what was written before")


def fit(settings: Settings, hidden: frozenset[str] = frozenset()) -> Iterator[Finding]:
    """Settings that are each possible, but not together. `hidden` are credentials that may be there all the same."""
    method = settings.auth_method
    wanted: dict[AuthMethod, dict[str, object]] = {
        AuthMethod.API_KEY: {"ANTHROPIC_API_KEY": settings.anthropic_api_key},
        AuthMethod.BEDROCK: {"AWS_REGION": settings.aws_region},
        AuthMethod.VERTEX: {
            "ANTHROPIC_VERTEX_PROJECT_ID": settings.anthropic_vertex_project_id,
            "CLOUD_ML_REGION": settings.cloud_ml_region,
        },
    }
    credentials = settings.credentials()
    for name, value in wanted.get(method, {}).items():
        if not value and name not in credentials and name.lower() not in hidden:
            yield failed("Settings", f"CLAUDE_AUTH_METHOD={method.value} without {name}", f"set {name}")
    for wrong, seen, remedy in (
        (
            method is AuthMethod.CLI and settings.anthropic_api_key is not None,
            "ANTHROPIC_API_KEY is set, but CLAUDE_AUTH_METHOD is cli: the key is not used",
            "CLAUDE_AUTH_METHOD=api_key, or unset the key",
        ),
        (
            settings.queue_timeout_seconds * 1000 > settings.max_timeout,
            "QUEUE_TIMEOUT_SECONDS is longer than MAX_TIMEOUT: who waits gets 504 instead of 429 with a time to return",
            "a shorter QUEUE_TIMEOUT_SECONDS, or a longer MAX_TIMEOUT",
        ),
        (
            settings.heartbeat_seconds >= 60,
            f"HEARTBEAT_SECONDS is {settings.heartbeat_seconds:.0f}: proxies cut a stream that is silent for a minute",
            "HEARTBEAT_SECONDS=10",
        ),
        (
            settings.session_max_mib > settings.sessions_max_mib,
            "one session may remember more (SESSION_MAX_MIB) than all of a key's together (SESSIONS_MAX_MIB)",
            "a higher SESSIONS_MAX_MIB",
        ),
        (
            settings.max_connections < settings.chat_workers + settings.queue_limit,
            "MAX_CONNECTIONS is lower than what may run and wait (CHAT_WORKERS and QUEUE_LIMIT)",
            "a higher MAX_CONNECTIONS: who is refused a connection is not told when to come back",
        ),
        (
            settings.allow_unsandboxed_tools,
            "ALLOW_UNSANDBOXED_TOOLS is set: where there is no sandbox, commands can do all that this user can",
            "unset it, and install what the sandbox needs",
        ),
    ):
        if wrong:
            yield warning("Settings", seen, remedy)


def streaming(url: str, first: float | None, next_: float | None, patience: float) -> Finding:
    """`first`, `next_`: seconds until the first and the next piece of a stream that never ends, None for none."""
    subject = f"Streaming through {url}"
    remedy = "proxy_buffering off (and no cache, no gzip) for it in nginx: deploy/nginx"
    if first is None:
        return failed(subject, f"not a byte of an open stream came within {patience:.0f} s: it is held back", remedy)
    if next_ is None:
        return failed(subject, f"nothing came behind the first piece for {patience:.0f} s: it is held back", remedy)
    return ok(subject, f"the first piece came after {first:.2f} s, the next {next_ - first:.2f} s later")


def no_streaming() -> Finding:
    return skipped("Streaming through the proxy", "give the public address: --url https://…, with API_KEY set")
