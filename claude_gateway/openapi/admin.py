"""What `web/live.py` answers."""

from typing import Literal

from claude_gateway.openapi.failures import ErrorAnswer
from claude_gateway.openapi.operation import Answer, Answered, Group, Operation


class QueueSnapshot(Answered):
    running: int
    waiting: int


class WorkerSnapshot(Answered):
    kind: Literal["chat", "agent"]
    pid: int
    phase: str
    key_id: str | None
    model: str
    jobs: int
    memory_mib: int


class KeeperSnapshot(Answered):
    key_id: str
    sessions: int
    messages: int
    bytes: int
    last_accessed: int


class Snapshot(Answered):
    ready: bool
    queues: dict[str, QueueSnapshot]
    workers: list[WorkerSnapshot]
    sessions: list[KeeperSnapshot]


SnapshotEvent = Snapshot | ErrorAnswer

_SNAPSHOT = {"ready": True, "queues": {"chat": {"running": 0, "waiting": 0}}, "workers": [], "sessions": []}

OPERATIONS = (
    Operation(
        "get",
        "/v1/admin/live",
        Group.ADMIN,
        "Workers, queues and sessions, as they change",
        {
            200: Answer(
                "A snapshot at once, and one a second while something changes, without end.",
                stream=SnapshotEvent,
                stream_example=(_SNAPSHOT,),
            )
        },
        errors=(403,),
    ),
)
