"""How the engine is set up: frozen, handed in by whoever composes the program."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from workers.disk_usage import MOST_ENTRIES, DiskBounds, Weight

# What the CLI has to itself: 115 to 170 were seen, more behind long conversations.
_CLI_MIB = 256
# So many full places an owner may have, where nobody says otherwise.
_PLACES_OF_AN_OWNER = 8


class AuthMethod(StrEnum):
    """How the CLI reaches its model: `CLAUDE_AUTH_METHOD`."""

    CLI = "cli"
    API_KEY = "api_key"
    BEDROCK = "bedrock"
    VERTEX = "vertex"


@dataclass(frozen=True, slots=True)
class LaunchSettings:
    """All that decides a worker's argv and environment. `credentials` are variables of the child,
    filtered by the allow-list of `auth_method` once more before they reach it."""

    cli_path: Path
    auth_method: AuthMethod
    default_model: str
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    upstream_retries: int = 1


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """Bounds of the pool. Times in seconds, memory in MiB.

    At most `workers` processes belong to an API key at any moment; `spares` more are kept booted and
    unowned, so that neither a key's first job nor a replacement waits for a boot.
    """

    workers: int
    spares: int
    max_jobs: int
    max_age: float
    max_rss_mib: int
    boot_timeout: float = 30.0
    recover_timeout: float = 5.0
    first_backoff: float = 0.5
    longest_backoff: float = 30.0


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """Bounds of the queue: jobs waiting (all keys together), the longest wait in seconds, and for how many seconds a
    job that waits may still be refused for another key's: no longer than its caller has no answer at all."""

    limit: int
    timeout: float
    refusable: float = 0.0


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """Bounds of the agents, the processes with tools of Claude's own. `user` is whom a gateway of root's has them run
    as; `usual_tools` those that spares are booted with. `disk_bytes` is what one place may hold, `owner_disk_bytes`
    what those of one owner may (eight times as much, where it is not said), `memory_mib` what one process may with all
    that it started."""

    workers: int
    spares: int
    user: int
    usual_tools: tuple[str, ...]
    disk_bytes: int
    memory_mib: int
    unsandboxed: bool = False
    owner_disk_bytes: int | None = None
    disk_entries: int = MOST_ENTRIES
    boot_timeout: float = 30.0

    @property
    def disk(self) -> DiskBounds:
        of_an_owner = self.owner_disk_bytes or _PLACES_OF_AN_OWNER * self.disk_bytes
        return DiskBounds(
            Weight(self.disk_bytes, self.disk_entries), Weight(of_an_owner, _PLACES_OF_AN_OWNER * self.disk_entries)
        )

    @property
    def process_bytes(self) -> int:
        """What one process of a command may allocate: all that is left beside Claude Code itself."""
        return (self.memory_mib - _CLI_MIB) * 2**20
