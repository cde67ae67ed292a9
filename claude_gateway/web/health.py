"""Whether the gateway lives, whether it can answer, and what it is made of."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Protocol

from claude_gateway.claude_code.login import reports_login
from claude_gateway.ledger.entry import Unwritten
from workers.roster import Post
from workers.settings import AuthMethod

# Read once: each look at it reads files, which would stop every stream meanwhile.
_VERSION = version("claude-gateway")
_SDK_VERSION = version("claude-agent-sdk")
API_VERSION = "v1"


class PoolReport(Protocol):
    """What health asks of the pool."""

    @property
    def account(self) -> Mapping[str, Any]:
        """The login, as the CLI names it in its answer to `initialize`."""
        ...

    @property
    def cli_version(self) -> str: ...

    def counts(self) -> dict[str, int]:
        """Workers by phase."""
        ...

    def queue(self) -> dict[str, int]:
        """Jobs running and waiting."""
        ...

    def queues(self) -> dict[str, dict[str, int]]:
        """The same for each kind of job."""
        ...

    async def roster(self) -> list[tuple[Post, int]]:
        """Every process, and the memory that it holds in MiB."""
        ...

    @property
    def failing(self) -> bool:
        """True while no process can be started."""
        ...


class KeyReport(Protocol):
    """What health asks of the keys."""

    @property
    def kind(self) -> str:
        """Where they come from: `environment`, `store`, `none`."""
        ...


class StoreReport(Protocol):
    """What health asks of the database."""

    @property
    def failing(self) -> bool:
        """True while it or its disk cannot be used."""
        ...

    @property
    def fault(self) -> str:
        """What is wrong with it then."""
        ...


class LedgerReport(Protocol):
    """What health asks of the ledger."""

    @property
    def unwritten(self) -> Unwritten:
        """What it could not write."""
        ...

    @property
    def login_refused(self) -> bool:
        """True while the last that the upstream said of the login was no."""
        ...


_METHOD_NAMES = {
    AuthMethod.CLI: "claude_cli",
    AuthMethod.API_KEY: "anthropic_api_key",
    AuthMethod.BEDROCK: "aws_bedrock",
    AuthMethod.VERTEX: "google_vertex",
}


_REFUSED = "The upstream refused the login of Claude Code. It must be renewed; the next answer makes this ready again."


@dataclass(frozen=True, slots=True)
class Health:
    """Reports for the health, version and login endpoints."""

    pool: PoolReport
    store: StoreReport
    method: AuthMethod
    keys: KeyReport
    ledger: LedgerReport

    def health(self, *, with_version: bool) -> dict[str, Any]:
        version_told = {"version": _VERSION} if with_version else {}
        return {"status": "healthy", "service": "claude-gateway", **version_told}

    def readiness(self) -> tuple[bool, dict[str, Any]]:
        """Whether a request would be served, with each thing that this depends on."""
        login = self.has_login() and not self.ledger.login_refused
        counts = self.pool.counts()
        serving = not self.pool.failing and sum(counts.values()) > counts.get("booting", 0)
        store = not self.store.failing
        ready = login and serving and store
        unwritten = self.ledger.unwritten
        report = {
            "status": "ready" if ready else "not_ready",
            "checks": {
                "login": login,
                "pool": {"serving": serving, "workers": counts, "queue": self.pool.queue()},
                "store": store,
                "ledger": {"waiting": unwritten.waiting, "lost": unwritten.lost},
            },
        }
        if reasons := list(self._reasons()):
            report["reason"] = " ".join(reasons)
        return ready, report

    def _reasons(self) -> Iterator[str]:
        if self.store.failing:
            yield f"The database cannot be used: {self.store.fault}"
        if self.ledger.login_refused:
            yield _REFUSED

    def versions(self, *, of_parts: bool) -> dict[str, Any]:
        if not of_parts:
            return {"api_version": API_VERSION}
        return {
            "version": _VERSION,
            "api_version": API_VERSION,
            "sdk_version": _SDK_VERSION,
            "cli_version": self.pool.cli_version,
        }

    def has_login(self) -> bool:
        return reports_login(self.method, self.pool.account)

    def login(self) -> dict[str, Any]:
        reported = self.has_login()
        valid = reported and not self.ledger.login_refused
        name = _METHOD_NAMES[self.method]
        if self.ledger.login_refused:
            details = f"The upstream refused the login by {name}; it must be renewed"
        elif self.method in (AuthMethod.BEDROCK, AuthMethod.VERTEX):
            details = f"Set to {name}; its credentials are not checked before the first request"
        else:
            details = f"Claude Code reports a login by {name}" if valid else "Claude Code reports no login"
        return {
            "claude_code_auth": {"method": name, "status": {"valid": valid, "details": details}},
            "server_info": {
                "api_key_required": self.keys.kind != "none",
                "api_key_source": self.keys.kind,
                "version": _VERSION,
            },
        }
