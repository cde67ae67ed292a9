"""Description of the operation that streams the current state of the gateway (`web/endpoints/admin_live.py`)."""

from typing import Literal

from claude_gateway.openapi.error_schemas import OpenAIErrorResponse
from claude_gateway.openapi.resources.health import LOGIN_EXAMPLE, LoginDetails
from claude_gateway.openapi.spec import OperationSpec, ResponseModel, ResponseSpec, Tag


class LiveQueue(ResponseModel):
    """The numbers of running and waiting jobs in the queue of one worker pool."""

    running: int
    waiting: int


class LiveWorker(ResponseModel):
    """The state of one worker process.

    `key_id` is the API key of the last job; it is null until the process has run a job. `group` is the group of keys
    that share the process; it is null if the process belongs to a single key or to none yet.
    """

    pool: Literal["chat", "agent"]
    pid: int
    phase: str
    key_id: str | None
    group: str | None
    model: str
    completed_jobs: int
    memory_mib: int


class LiveKeySessions(ResponseModel):
    """The number and the size of the stored sessions of one API key.

    `last_accessed` is the time at which a client last used a session of the key, in seconds since the epoch.
    """

    key_id: str
    sessions: int
    messages: int
    size_bytes: int
    last_accessed: int


class LiveSnapshot(ResponseModel):
    """The state of the gateway at one moment. `queues` contains one entry for each worker pool."""

    ready: bool
    queues: dict[str, LiveQueue]
    logins: list[LoginDetails]
    workers: list[LiveWorker]
    sessions: list[LiveKeySessions]


LiveStreamEvent = LiveSnapshot | OpenAIErrorResponse

_SNAPSHOT = {
    "ready": True,
    "queues": {"chat": {"running": 0, "waiting": 0}},
    "logins": [LOGIN_EXAMPLE],
    "workers": [
        {
            "pool": "chat",
            "pid": 4711,
            "phase": "ready",
            "key_id": "5f0c2a91b7de",
            "group": "family",
            "model": "claude-sonnet-4-5-20250929",
            "completed_jobs": 12,
            "memory_mib": 214,
        }
    ],
    "sessions": [],
}

STREAM_LIVE = OperationSpec(
    Tag.ADMIN,
    "Stream the state of workers, queues and sessions",
    {
        200: ResponseSpec(
            "A snapshot immediately, then at most one per second after a change. The stream has no end.",
            stream_model=LiveStreamEvent,
            stream_example=(_SNAPSHOT,),
        )
    },
    error_statuses=(403,),
)
