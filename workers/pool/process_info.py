"""Information about the processes of the engine, as frozen data. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workers.core.observer import WorkerKind


@dataclass(frozen=True, slots=True)
class ProcessInfo:
    """A process and its present state.

    Attributes:
        kind: Whether the process runs chats or jobs with built-in tools.
        pid: The id of the process.
        phase: The state of the process in its pool, for example `busy`.
        key_id: The API key of the last job, or None if no key has used the process.
        model: The model to which the process is set.
        job_count: The number of jobs that the process has started.
        group: The group of keys to which the process belongs. None if it belongs to one key or to no key.
    """

    kind: WorkerKind
    pid: int
    phase: str
    key_id: str | None
    model: str
    job_count: int
    group: str | None = None


@dataclass(frozen=True, slots=True)
class CliInfo:
    """The information that a process reports about itself when it starts.

    Attributes:
        version: The version of the CLI.
        account: The login of the CLI, as the CLI describes it.
        models: The models that the CLI knows.
    """

    version: str
    account: Mapping[str, Any]
    models: tuple[dict[str, Any], ...]
