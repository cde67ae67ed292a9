"""Functions that turn measured values into the check results of the `doctor` command. No I/O."""

from collections.abc import Iterator, Mapping
from typing import Any

from claude_gateway.claude_code.login import is_logged_in
from claude_gateway.config import Settings
from claude_gateway.doctor.damaged_rows import DamageReport
from claude_gateway.doctor.result import CheckResult, failed_result, ok_result, skipped_result, warning_result
from claude_gateway.storage.migrations import MIGRATIONS
from workers.core.settings import AuthMethod

_MIB = 2**20
# If less space is free, SQLite and the workers soon cannot write any more.
_DISK_FULL_BYTES = 64 * _MIB
# If less space is free, the check warns the operator.
_DISK_LOW_BYTES = 1024 * _MIB
_MAX_NAMED_ROWS = 10
# Open files that the gateway needs for each worker. Three of them are pipes.
_FILES_PER_WORKER = 4
# Open files that the gateway needs for itself.
_GATEWAY_FILES = 64
_LOGIN_REMEDY = "run `claude-gateway login` as the user of the gateway, or set ANTHROPIC_API_KEY"


def evaluate_version(installed: str, pinned: str, path: str) -> CheckResult:
    """Compare the installed version of Claude Code with the pinned version."""
    subject = "Version of Claude Code"
    if installed == pinned:
        return ok_result(subject, f"{installed}, the version that this gateway was made for")
    return warning_result(
        subject,
        f"{installed or 'unknown'}; this gateway was made for {pinned}",
        f"unset CLAUDE_CLI_PATH, or check that version: claude-gateway check-cli {path}",
    )


def evaluate_login(method: AuthMethod, account: Mapping[str, Any], name: str = "") -> CheckResult:
    """Decide whether the login that Claude Code reports is sufficient.

    Args:
        method: The authentication method of the login.
        account: The account that Claude Code reports.
        name: The name of the login; "" for the first one.
    """
    subject = f"Login {name} ({method.value})" if name else f"Login ({method.value})"
    if method in (AuthMethod.BEDROCK, AuthMethod.VERTEX):
        return ok_result(subject, "Claude Code checks the credentials of the cloud only at the first request")
    if not is_logged_in(method, account):
        return failed_result(subject, "Claude Code reports no login", _LOGIN_REMEDY)
    source = next(str(account[name]) for name in ("tokenSource", "apiKeySource") if account.get(name, "none") != "none")
    return ok_result(subject, f"Claude Code reports a login from {source}; only the first reply shows if it is valid")


def evaluate_sandbox(problem: str | None, *, allow_unsandboxed: bool) -> CheckResult:
    """Decide whether the sandbox works. The calling code has already tried to create a sandbox.

    Args:
        problem: The reason why the sandbox does not work; None if it works.
        allow_unsandboxed: Whether commands may run without a sandbox if it does not work.
    """
    subject = "Sandbox of built-in tools"
    if problem is None:
        return ok_result(subject, "bubblewrap can create a sandbox, and a second one inside it")
    consequence = "commands run without a sandbox" if allow_unsandboxed else "Bash is off; chats are not affected"
    remedy = "apt-get install bubblewrap socat ripgrep util-linux; allow unprivileged user namespaces"
    if "CLAUDE_CODE_OAUTH_TOKEN" in problem:
        remedy = "run the gateway as a user of its own, or run `claude setup-token` and set CLAUDE_CODE_OAUTH_TOKEN"
    if "AWS_BEARER_TOKEN_BEDROCK" in problem:
        remedy = (
            "set AWS_BEARER_TOKEN_BEDROCK, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; or use a role of the machine"
        )
    return warning_result(subject, f"{problem}: {consequence}", remedy)


def evaluate_disk(free_bytes: int, path: str) -> CheckResult:
    """Decide whether the disk with the state directory has enough free space."""
    subject = "Free disk"
    detail = f"{free_bytes // _MIB:,} MiB at {path}"
    if free_bytes < _DISK_FULL_BYTES:
        return failed_result(subject, detail, "free disk space, or set STATE_DIR to another disk")
    if free_bytes < _DISK_LOW_BYTES:
        return warning_result(subject, detail, "free disk space before sessions and stored responses need it")
    return ok_result(subject, detail)


def evaluate_open_files(settings: Settings, limit: int) -> CheckResult:
    """Compare the files that connections and workers need with the limit of open files."""
    subject = "Open files"
    workers = (
        settings.chat_workers + settings.chat_spare_workers + settings.agent_workers + settings.agent_spare_workers
    )
    required = settings.max_connections + workers * _FILES_PER_WORKER + _GATEWAY_FILES
    detail = (
        f"at most {limit:,}; {settings.max_connections:,} connections and {workers} processes may need {required:,}"
    )
    if required > limit:
        return failed_result(
            subject, detail, f"set LimitNOFILE={required} in the unit (ulimit -Hn), or lower MAX_CONNECTIONS"
        )
    return ok_result(subject, detail)


def evaluate_database(path: str, schema_version: int | None, problem: str) -> CheckResult:
    """Decide whether the database is intact and has a schema version that the gateway supports.

    Args:
        path: The file of the database.
        schema_version: The schema version of the database; None if there is no database yet.
        problem: The result of the integrity check; "" if the database is intact.
    """
    subject = "Database"
    if problem:
        return failed_result(subject, f"{path}: {problem}", "restore a backup, or move the file away to start anew")
    if schema_version is None:
        return ok_result(subject, f"none yet at {path}; the first start creates it")
    if schema_version > len(MIGRATIONS):
        newer = f"written by a newer claude-gateway (version {schema_version}; this one knows {len(MIGRATIONS)})"
        return failed_result(subject, newer, "install that version again, or set another STATE_DIR")
    if schema_version < len(MIGRATIONS):
        return ok_result(
            subject,
            f"{path}: intact, of version {schema_version}; the next start migrates it to version {len(MIGRATIONS)}",
        )
    return ok_result(subject, f"{path}: intact, and of this version ({schema_version})")


def evaluate_stored_rows(damage: DamageReport | None) -> CheckResult:
    """Evaluate a scan for unreadable rows in the database. `damage` is None if there was no database to scan."""
    subject = "Stored rows"
    if damage is None:
        return skipped_result(subject, "there is no readable database")
    if damage.unreadable_rows:
        unnamed_count = len(damage.unreadable_rows) - _MAX_NAMED_ROWS
        more = f", and {unnamed_count} more" if unnamed_count > 0 else ""
        rows = f"{'; '.join(damage.unreadable_rows[:_MAX_NAMED_ROWS])}{more}"
        return warning_result(
            subject, f"the gateway ignores rows that it cannot read: {rows}", "restore a backup, or delete them"
        )
    if not damage.is_complete:
        return ok_result(
            subject,
            "all rows that were checked can be read; there was no time for the others, or the next start must migrate "
            "them",
        )
    return ok_result(subject, "all rows can be read")


def evaluate_clock(now: float, newest_mtime: float) -> CheckResult:
    """Compare the clock with the modification time of the gateway's newest file. Both are in epoch seconds."""
    subject = "Clock"
    if now < newest_mtime - 60:
        return failed_result(
            subject,
            f"it is {newest_mtime - now:,.0f} s behind the newest file of this gateway",
            "set the clock (timedatectl set-ntp true), because stored data expires by it",
        )
    return ok_result(subject, "not behind the files of this gateway")


def find_setting_conflicts(
    settings: Settings, unreadable_credentials: frozenset[str] = frozenset()
) -> Iterator[CheckResult]:
    """Find settings that are valid alone, but do not work together.

    Args:
        settings: The settings.
        unreadable_credentials: Names of credentials that may exist, but that the current user cannot read.

    Yields:
        A failure or warning for each conflict.
    """
    method = settings.auth_method
    required_values: dict[AuthMethod, dict[str, object]] = {
        AuthMethod.API_KEY: {"ANTHROPIC_API_KEY": settings.anthropic_api_key},
        AuthMethod.BEDROCK: {"AWS_REGION": settings.aws_region},
        AuthMethod.VERTEX: {
            "ANTHROPIC_VERTEX_PROJECT_ID": settings.anthropic_vertex_project_id,
            "CLOUD_ML_REGION": settings.cloud_ml_region,
        },
    }
    credentials = settings.credentials()
    for name, value in required_values.get(method, {}).items() if settings.logins_file is None else ():
        if not value and name not in credentials and name.lower() not in unreadable_credentials:
            yield failed_result("Settings", f"CLAUDE_AUTH_METHOD={method.value} without {name}", f"set {name}")
    for is_conflict, detail, remedy in (
        (
            method is AuthMethod.CLI and settings.anthropic_api_key is not None,
            "ANTHROPIC_API_KEY is set, but CLAUDE_AUTH_METHOD is cli: the key is not used",
            "set CLAUDE_AUTH_METHOD=api_key, or unset the key",
        ),
        (
            settings.queue_timeout_seconds * 1000 > settings.max_timeout,
            "QUEUE_TIMEOUT_SECONDS is longer than MAX_TIMEOUT: waiting requests get 504, not 429 with Retry-After",
            "set a shorter QUEUE_TIMEOUT_SECONDS or a longer MAX_TIMEOUT",
        ),
        (
            settings.heartbeat_interval_seconds >= 60,
            f"HEARTBEAT_INTERVAL_SECONDS is {settings.heartbeat_interval_seconds:.0f}: proxies close a stream that is "
            "silent for a minute",
            "set HEARTBEAT_INTERVAL_SECONDS=10",
        ),
        (
            settings.max_session_history_mib > settings.max_session_history_per_key_mib,
            "the limit for one session (MAX_SESSION_HISTORY_MIB) is higher than that for all sessions of a key "
            "(MAX_SESSION_HISTORY_PER_KEY_MIB)",
            "set a higher MAX_SESSION_HISTORY_PER_KEY_MIB",
        ),
        (
            settings.max_connections < settings.chat_workers + settings.max_queued_jobs,
            "MAX_CONNECTIONS is lower than the number of jobs that may run and wait (CHAT_WORKERS + MAX_QUEUED_JOBS)",
            "set a higher MAX_CONNECTIONS, because a client without a connection gets no Retry-After",
        ),
        (
            settings.allow_unsandboxed_tools,
            "ALLOW_UNSANDBOXED_TOOLS is set: without a sandbox, commands have all rights of this user",
            "unset it, and install the programs that the sandbox needs",
        ),
    ):
        if is_conflict:
            yield warning_result("Settings", detail, remedy)


def evaluate_streaming(
    url: str, first_chunk_seconds: float | None, second_chunk_seconds: float | None, chunk_timeout_seconds: float
) -> CheckResult:
    """Decide whether a proxy passes on the chunks of a stream immediately, from the arrival times of two chunks.

    Args:
        url: The public address of the gateway.
        first_chunk_seconds: Seconds until the first chunk; None if none arrived.
        second_chunk_seconds: Seconds until the second chunk; None if none arrived.
        chunk_timeout_seconds: The timeout of each chunk.
    """
    subject = f"Streaming through {url}"
    remedy = "set proxy_buffering off (and no cache, no gzip) for it in nginx: deploy/nginx"
    if first_chunk_seconds is None:
        return failed_result(
            subject, f"no byte of an open stream arrived within {chunk_timeout_seconds:.0f} s: it is held back", remedy
        )
    if second_chunk_seconds is None:
        return failed_result(
            subject,
            f"nothing arrived within {chunk_timeout_seconds:.0f} s after the first chunk: the stream is held back",
            remedy,
        )
    interval_seconds = second_chunk_seconds - first_chunk_seconds
    return ok_result(
        subject, f"the first chunk arrived after {first_chunk_seconds:.2f} s, the next {interval_seconds:.2f} s later"
    )


def skip_streaming() -> CheckResult:
    """Return the result of the streaming check for a command line without a public address."""
    return skipped_result("Streaming through the proxy", "needs the public address: --url https://…, with API_KEY set")
