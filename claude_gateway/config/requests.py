"""What one request may be, and how its answer is sent."""

from pydantic import Field, field_validator

from claude_gateway.config.group import Group
from claude_gateway.config.origins import read_origins


class Requests(Group):
    """Bounds of a request, and the pace of a stream."""

    max_request_size: int = Field(
        32 * 1024 * 1024, gt=0, description="The largest request body, in bytes; more gets 413."
    )
    request_memory_mib: int = Field(
        256,
        ge=1,
        le=2**20,
        description="The most that the bodies of all requests may hold in memory together, half of it for one key; "
        "what is read from them takes as much again. The next body waits for room, at most `QUEUE_TIMEOUT_SECONDS`; "
        "then 503.",
    )
    fetch_remote_images: bool = Field(
        False,
        description="Fetch images and PDFs that callers name by an `https:` URL, from public addresses alone; "
        "together they count against `MAX_REQUEST_SIZE`.",
    )
    max_choices: int = Field(
        8, ge=1, le=64, description="The most answers to one chat request (`n`), each a job of its own; more get 400."
    )
    stream_head_seconds: float = Field(
        2.0,
        ge=0,
        description="How long a stream waits for the upstream before it commits to status 200; "
        "an error until then has its own status, later it comes inside the stream.",
    )
    heartbeat_seconds: float = Field(
        10.0, gt=0, description="How often a stream is kept alive, by a comment or what its dialect takes."
    )
    cors_origins: str = Field(
        '["*"]',
        description="Web pages that may read answers, by their origins: a JSON list, or with commas between; `*` is "
        "any. Each must send a key all the same; without any key of the gateway, none may.",
    )
    max_connections: int = Field(
        2_000,
        ge=1,
        description="Open connections. For each one more a silent connection without a key is closed: docs/keys.md.",
    )
    drain_seconds: float = Field(30.0, ge=0, description="How long running answers may go on after SIGTERM.")

    @field_validator("cors_origins", mode="after")
    @classmethod
    def _origins(cls, value: str) -> str:
        read_origins(value)
        return value

    @property
    def body_memory_bytes(self) -> int:
        return self.request_memory_mib * 2**20

    @property
    def origins(self) -> tuple[str, ...]:
        return read_origins(self.cors_origins)
