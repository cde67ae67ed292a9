"""Builds the reports on the gateway's health, readiness, versions and login."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Protocol

from claude_gateway.auth.models import ApiKey
from claude_gateway.claude_code.login import is_logged_in
from claude_gateway.claude_code.login_report import AUTH_METHOD_NAMES, build_login_object
from claude_gateway.usage.record import UnwrittenRecords
from workers.core.settings import AuthMethod
from workers.logins.login_state import LoginSummary
from workers.pool.process_info import ProcessInfo

# Read the version once, because each call of `version` reads files and would delay every stream.
_VERSION = version("claude-gateway")
_SDK_VERSION = version("claude-agent-sdk")
API_VERSION = "v1"


class PoolReport(Protocol):
    """Interface from which the health report reads the state of the worker pool."""

    @property
    def account(self) -> Mapping[str, Any]:
        """The login, as the CLI describes it in its response to `initialize`."""
        ...

    @property
    def cli_version(self) -> str:
        """The version of the CLI."""
        ...

    @property
    def chat_capacity(self) -> int:
        """The maximum number of chat processes, including the spares."""
        ...

    def phase_counts(self) -> dict[str, int]:
        """Count the chat workers in each phase."""
        ...

    def queue_counts(self) -> dict[str, int]:
        """Count the running and waiting chats."""
        ...

    def queue_counts_by_kind(self) -> dict[str, dict[str, int]]:
        """Count the running and waiting jobs for each kind of worker."""
        ...

    async def list_processes(self) -> list[tuple[ProcessInfo, int]]:
        """List every process with its memory usage in MiB."""
        ...

    @property
    def is_failing(self) -> bool:
        """True while the gateway cannot start any worker process."""
        ...


class KeyReport(Protocol):
    """Interface from which the health report reads from which source the gateway takes the API keys."""

    @property
    def key_origin(self) -> str:
        """The source of the API keys: `environment`, `database`, or `none` if the operator has never created a key."""
        ...


class DatabaseReport(Protocol):
    """Interface from which the health report reads the state of the database."""

    @property
    def is_failing(self) -> bool:
        """True while the gateway cannot use the database or its disk."""
        ...

    @property
    def failure_reason(self) -> str:
        """Reason why the gateway cannot use the database."""
        ...


class UsageRecorderReport(Protocol):
    """Interface from which the health report reads the state of the usage recorder."""

    @property
    def unwritten_records(self) -> UnwrittenRecords:
        """The number of records that wait because the disk fails, and the number of records that are lost."""
        ...


class LoginSource(Protocol):
    """Interface from which the health report reads the state of the logins."""

    @property
    def has_several(self) -> bool:
        """Whether there are several logins."""
        ...

    def summarize(self) -> Sequence[LoginSummary]:
        """Return the state of each login."""
        ...

    def summarize_for(self, bound_login: str) -> Sequence[LoginSummary]:
        """Return the state of each login that a key may use which is bound to this login, or to none if it is ""."""
        ...


_LOGIN_REJECTED_REASON = (
    "The upstream rejected the login of Claude Code. Renew the login; the gateway is ready again after the next reply."
)


@dataclass(frozen=True, slots=True)
class HealthReport:
    """Builds the bodies of the health, version and login endpoints."""

    pool: PoolReport
    database: DatabaseReport
    auth_method: AuthMethod
    keys: KeyReport
    usage_recorder: UsageRecorderReport
    logins: LoginSource

    def health(self, *, with_version: bool) -> dict[str, Any]:
        """Return the body of the health endpoint."""
        version_field = {"version": _VERSION} if with_version else {}
        return {"status": "healthy", "service": "claude-gateway", **version_field}

    def list_logins(self) -> list[dict[str, Any]]:
        """Return the JSON objects that describe the logins and their limits."""
        return [build_login_object(summary) for summary in self.logins.summarize()]

    def list_logins_for(self, key: ApiKey) -> list[dict[str, Any]]:
        """Return the JSON objects of the logins that a client may see: with `admin` all, otherwise those it may use."""
        if "admin" in key.scopes:
            return self.list_logins()
        return [build_login_object(summary) for summary in self.logins.summarize_for(key.login)]

    def readiness(self, key: ApiKey | None = None) -> tuple[bool, dict[str, Any]]:
        """Return whether the gateway can serve a request, and the body with the result of each check.

        A gateway whose login has reached a limit stays ready, because a restart or another check would not change it.
        It also stays ready while it has no process because none had a job for a long time: the next job starts one.

        Args:
            key: The key of the client, or None if the body must not contain the logins.
        """
        summaries = self.logins.summarize()
        has_valid_login = self.has_login() and not self._is_login_rejected()
        is_serving = not self.pool.is_failing
        has_database = not self.database.is_failing
        is_ready = has_valid_login and is_serving and has_database
        unwritten = self.usage_recorder.unwritten_records
        report: dict[str, Any] = {
            "status": "ready" if is_ready else "not_ready",
            "checks": {
                "login": has_valid_login,
                "login_limited": all(summary.is_limited for summary in summaries),
                "pool": {"serving": is_serving, "workers": self.pool.phase_counts(), "queue": self.pool.queue_counts()},
                "database": has_database,
                "usage_records": {"pending": unwritten.waiting_count, "lost": unwritten.lost_count},
            },
        }
        if key is not None:
            report["logins"] = self.list_logins_for(key)
        if reasons := list(self._find_reasons()):
            report["reason"] = " ".join(reasons)
        return is_ready, report

    def _find_reasons(self) -> Iterator[str]:
        if self.database.is_failing:
            yield f"The database cannot be used: {self.database.failure_reason}"
        if self._is_login_rejected():
            yield _LOGIN_REJECTED_REASON

    def versions(self, *, with_components: bool) -> dict[str, Any]:
        """Return the body of the version endpoint, with the versions of all components or only of the API."""
        if not with_components:
            return {"api_version": API_VERSION}
        return {
            "version": _VERSION,
            "api_version": API_VERSION,
            "sdk_version": _SDK_VERSION,
            "cli_version": self.pool.cli_version,
        }

    def has_login(self) -> bool:
        """Return whether Claude Code reports a login.

        With several logins, the account that one process reports says nothing about the others. Then only the replies
        of the upstream show which logins are valid.
        """
        return self.logins.has_several or is_logged_in(self.auth_method, self.pool.account)

    def _is_login_rejected(self) -> bool:
        return all(summary.is_rejected for summary in self.logins.summarize())

    def login_status(self, key: ApiKey) -> dict[str, Any]:
        """Return the body of the login endpoint for a client with this key."""
        is_rejected = self._is_login_rejected()
        is_valid = self.has_login() and not is_rejected
        name = AUTH_METHOD_NAMES[self.auth_method]
        if is_rejected:
            details = f"The upstream rejected the login by {name}; it must be renewed"
        elif self.auth_method in (AuthMethod.BEDROCK, AuthMethod.VERTEX):
            details = f"Set to {name}; its credentials are not checked before the first request"
        else:
            details = f"Claude Code reports a login by {name}" if is_valid else "Claude Code reports no login"
        return {
            "claude_code_auth": {"method": name, "status": {"valid": is_valid, "details": details}},
            "logins": self.list_logins_for(key),
            "server_info": {
                "api_key_required": self.keys.key_origin != "none",
                "api_key_source": self.keys.key_origin,
                "version": _VERSION,
            },
        }
