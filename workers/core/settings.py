"""Settings of the engine, as frozen data that the gateway passes to the engine. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from workers.core.disk_usage import DEFAULT_MAX_ENTRIES, DiskLimits, DiskUsage

# Memory that the gateway reserves for the CLI itself. The CLI used 115 to 170 MiB in measurements, and more in long
# conversations.
_CLI_MEMORY_MIB = 256
# The number of workspaces of maximum size that a key may have by default.
_DEFAULT_FULL_WORKSPACES_PER_KEY = 8


# The name of the login if the operator has set only one.
DEFAULT_LOGIN = "default"


class AuthMethod(StrEnum):
    """The method with which the CLI logs in to the provider of the model (setting `CLAUDE_AUTH_METHOD`)."""

    CLI = "cli"
    API_KEY = "api_key"
    BEDROCK = "bedrock"
    VERTEX = "vertex"


@dataclass(frozen=True, slots=True)
class LaunchSettings:
    """Settings that determine the command line and the environment of a `claude` process.

    Attributes:
        cli_path: The path of the `claude` executable.
        auth_method: The method with which the CLI logs in.
        default_model: The model with which a process starts.
        credentials: Environment variables that contain the login. The process gets only the variables that belong to
            `auth_method`.
        max_upstream_retries: The maximum number of times that the CLI repeats a failed upstream request.
        name: The name of the login.
        models: The models that the login serves, as names or patterns with `*`; empty if it serves each model.
        model_names: The names of models at the provider of the login, by the name that the gateway uses.
    """

    cli_path: Path
    auth_method: AuthMethod
    default_model: str
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    max_upstream_retries: int = 1
    name: str = DEFAULT_LOGIN
    models: tuple[str, ...] = ()
    model_names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """Limits of the pool of chat processes.

    Attributes:
        worker_count: The maximum number of jobs that run at the same time.
        spare_count: The number of processes that the pool has started, but that belong to no tenant yet. Because of
            them, neither the first job of a tenant nor the replacement of a process has to wait for a start.
        max_jobs: The number of jobs after which the pool replaces a process.
        max_age_seconds: The age after which the pool replaces a process.
        max_rss_mib: The resident memory above which the pool replaces a process.
        start_timeout_seconds: The time limit for the start of a process.
        recover_timeout_seconds: The time that a process has to become idle after a failed or abandoned job.
        min_backoff_seconds: The time that the pool waits after the first failed start.
        max_backoff_seconds: The longest time that the pool waits after repeated failed starts.
        max_processes: The maximum number of processes, including the spares. If it is None, the memory of the machine
            determines the number. In either case, the pool may have `worker_count` processes.
        idle_seconds: The time without a job after which the pool ends a process, except for the spares.
    """

    worker_count: int
    spare_count: int
    max_jobs: int
    max_age_seconds: float
    max_rss_mib: int
    start_timeout_seconds: float = 30.0
    recover_timeout_seconds: float = 5.0
    min_backoff_seconds: float = 0.5
    max_backoff_seconds: float = 30.0
    max_processes: int | None = None
    idle_seconds: float = 900.0


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """Limits of the queue in which jobs wait for a process.

    Attributes:
        max_waiting_jobs: The maximum number of waiting jobs, counted over all keys.
        timeout_seconds: The longest time that a job may wait.
        evictable_seconds: If the queue is full, it may reject a waiting job to make room for a job of another key, but
            only until the job has waited for this time. The time must end before the gateway sends the status and the
            headers of the response.
    """

    max_waiting_jobs: int
    timeout_seconds: float
    evictable_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """Limits of agents, which are the processes with built-in tools.

    Attributes:
        worker_count: The maximum number of agents at the same time.
        spare_count: The number of additional agents that the gateway has started before a job needs them.
        uid: The id of the user as which agents run if the gateway runs as root.
        default_tools: The built-in tools of the agents that the gateway starts before a job needs them.
        max_workspace_bytes: The disk limit of one workspace.
        max_memory_mib: The memory limit of one process together with all its descendants.
        allow_unsandboxed: Whether agents may run without a sandbox.
        max_key_disk_bytes: The disk limit of all workspaces of a key together. If it is None, the limit is eight times
            `max_workspace_bytes`.
        max_workspace_entries: The maximum number of files and directories in one workspace.
        start_timeout_seconds: The time limit for the start of a process.
    """

    worker_count: int
    spare_count: int
    uid: int
    default_tools: tuple[str, ...]
    max_workspace_bytes: int
    max_memory_mib: int
    allow_unsandboxed: bool = False
    max_key_disk_bytes: int | None = None
    max_workspace_entries: int = DEFAULT_MAX_ENTRIES
    start_timeout_seconds: float = 30.0

    @property
    def disk_limits(self) -> DiskLimits:
        """The disk limit of each workspace, and the disk limit of all workspaces of a key together."""
        max_key_bytes = self.max_key_disk_bytes or _DEFAULT_FULL_WORKSPACES_PER_KEY * self.max_workspace_bytes
        return DiskLimits(
            DiskUsage(self.max_workspace_bytes, self.max_workspace_entries),
            DiskUsage(max_key_bytes, _DEFAULT_FULL_WORKSPACES_PER_KEY * self.max_workspace_entries),
        )

    @property
    def max_process_bytes(self) -> int:
        """The memory limit in bytes for each process that a command of an agent starts.

        The limit is `max_memory_mib` minus the memory for the CLI itself.
        """
        return (self.max_memory_mib - _CLI_MEMORY_MIB) * 2**20
