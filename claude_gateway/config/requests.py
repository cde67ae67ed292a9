"""Settings for requests, streams and connections."""

from pydantic import Field, field_validator

from claude_gateway.config.base import SettingsGroup
from claude_gateway.config.cors_origins import parse_origins


class RequestSettings(SettingsGroup):
    """Limits of requests and connections, and timings of streams."""

    max_request_size: int = Field(
        32 * 1024 * 1024, gt=0, description="Maximum size of a request body, in bytes; a larger one gets 413."
    )
    max_request_memory_mib: int = Field(
        256,
        ge=1,
        le=2**20,
        description="Maximum memory of the bodies of all requests together, in MiB; one key can use half of it. "
        "Their parsed content can use the same amount again, and loaded sessions and stored responses half of "
        "it. A request waits up to `QUEUE_TIMEOUT_SECONDS` for free memory, then gets 503.",
    )
    fetch_remote_media: bool = Field(
        False,
        description="Fetch images and PDFs that requests refer to by an `https:` URL, from public addresses only. "
        "All of them together count against `MAX_REQUEST_SIZE`.",
    )
    max_choices: int = Field(
        8, ge=1, le=64, description="Maximum value of `n` in a chat request; each choice is a job. More gets 400."
    )
    stream_head_timeout_seconds: float = Field(
        2.0,
        ge=0,
        description="Time that a stream waits for the upstream before it sends status 200. An earlier error has "
        "its own status; a later error is sent inside the stream.",
    )
    heartbeat_interval_seconds: float = Field(
        10.0, gt=0, description="Interval at which an idle stream sends a comment or the dialect's keep-alive event."
    )
    cors_origins: str = Field(
        '["*"]',
        description="Origins of the web pages that may read responses: a JSON list or separated by commas; `*` allows "
        "any origin. The pages still need a key; while the gateway has no key, no page may read responses.",
    )
    max_connections: int = Field(
        2_000,
        ge=1,
        description="Maximum number of open connections. For each further one, the gateway closes an idle connection "
        "without a key: docs/operations/keys.md.",
    )
    drain_timeout_seconds: float = Field(30.0, ge=0, description="Time that running requests have left after SIGTERM.")

    @field_validator("cors_origins", mode="after")
    @classmethod
    def _check_cors_origins(cls, value: str) -> str:
        parse_origins(value)
        return value

    @property
    def body_memory_bytes(self) -> int:
        """Memory limit for request bodies in bytes, converted from the setting `max_request_memory_mib`."""
        return self.max_request_memory_mib * 2**20

    @property
    def allowed_origins(self) -> tuple[str, ...]:
        """Origins of the allowed web pages, parsed from the setting `cors_origins`."""
        return parse_origins(self.cors_origins)
