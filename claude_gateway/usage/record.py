"""Data classes for the usage of one job and for the request that the job belongs to. No I/O and no clock."""

from dataclasses import dataclass, field
from typing import Any

from workers.core.events import NO_TOKEN_USAGE, TokenUsage

# Values of `UsageRecord.result`. The error codes in `claude_gateway.core.errors` are further values.
RUNNING = "running"
OK = "ok"
CLIENT_DISCONNECTED = "client_disconnected"
# The gateway was killed while the job ran.
GATEWAY_EXITED = "gateway_exited"
INTERNAL_ERROR = "internal_error"
_CHARS_PER_TOKEN = 4


@dataclass(slots=True)
class RequestContext:
    """Data about one request, used for the log line, the usage records and the trace of the request.

    Middleware and handlers set the attributes while they process the request.

    Attributes:
        request_id: Id of the request, which is also in a header of the response.
        dialect: Name of the API dialect that the client uses.
        route: Path pattern of the route that serves the request.
        key_id: Id of the API key.
        requested_model: Model name that the client sent.
        resolved_model: Model that the requested name stands for.
        authorized_model: Model that the job uses. If the resolved model is retired, this is its replacement.
        has_session: Whether the request belongs to a session.
        usage_records: Usage records of the jobs that belong to the request.
        span: OpenTelemetry span of the request; None if tracing is off.
        credential: Digest of the secret that the client sent.
    """

    request_id: str = ""
    dialect: str = ""
    route: str = ""
    key_id: str = ""
    requested_model: str = ""
    resolved_model: str = ""
    authorized_model: str = ""
    has_session: bool = False
    usage_records: list["UsageRecord"] = field(default_factory=list)
    span: Any = None
    credential: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class UnwrittenRecords:
    """Counts of the usage records that the gateway could not write to the database.

    Attributes:
        waiting_count: Count of the records that the gateway keeps in memory while the disk fails.
        lost_count: Count of the records that were lost since the start of the gateway.
    """

    waiting_count: int = 0
    lost_count: int = 0


@dataclass(slots=True, eq=False)
class UsageRecord:
    """The usage of one job. The gateway updates the record from the creation of the job to its end.

    Attributes whose names end in `_monotonic` are times of a monotonic clock, in seconds. Such a time is None if the
    event has not happened.

    Attributes:
        id: Number of the record, unique in the database.
        key_id: Id of the API key.
        context: Context of the request that the job belongs to.
        number: Position of the job among the jobs of the request. A request has one job for each alternative reply
            (choice), and one more job for each retry after a reply that failed validation.
        has_tools: Whether the job runs as an agent with tools.
        model: Model that replies. Until the upstream reports this model, the attribute contains the requested model.
        created_at: Time at which the job was created, in seconds since the epoch.
        created_monotonic: Time at which the job was created.
        had_slot: Whether the job got a slot in the queue, which it needs before it may run.
        started_monotonic: Time at which a worker received the job.
        first_output_monotonic: Time at which the job produced the first output.
        ended_monotonic: Time at which the job ended.
        attempt_count: Count of the attempts to run the job. In each attempt, the gateway sends the job to a worker.
        previous_attempts_usage: Token usage of the attempts before the current attempt.
        attempt_usage: Token usage of the current attempt.
        cost_usd: Cost of all attempts in US dollars; None if the CLI has reported no cost.
        login: Name of the login with which the job ran last; "" if the job did not run.
        output_char_count: Count of the characters of the reply that the gateway has passed to the client.
        result: `running` while the job runs; `ok` after a complete reply; otherwise the reason why the job ended.
    """

    id: int
    key_id: str
    context: RequestContext
    number: int
    has_tools: bool
    model: str
    created_at: float
    created_monotonic: float
    had_slot: bool = False
    started_monotonic: float | None = None
    first_output_monotonic: float | None = None
    ended_monotonic: float | None = None
    attempt_count: int = 0
    previous_attempts_usage: TokenUsage = NO_TOKEN_USAGE
    attempt_usage: TokenUsage = NO_TOKEN_USAGE
    cost_usd: float | None = None
    login: str = ""
    output_char_count: int = 0
    result: str = RUNNING

    @property
    def usage(self) -> TokenUsage:
        """Token usage of all attempts together."""
        if self.previous_attempts_usage is NO_TOKEN_USAGE:
            return self.attempt_usage
        return self.previous_attempts_usage + self.attempt_usage

    @property
    def token_count(self) -> int:
        """Sum of the input, output and cache tokens of all attempts."""
        usage = self.usage
        return usage.input_tokens + usage.output_tokens + usage.cache_read_tokens + usage.cache_write_tokens

    @property
    def budget_token_count(self) -> int:
        """Count of the tokens by which the job reduces the daily budget of the key.

        The upstream does not report the output tokens of an interrupted reply. The gateway then estimates the output
        tokens from the count of the characters that it has passed to the client.
        """
        if self.result == OK:
            return self.token_count
        return self.token_count + max(0, self.output_char_count // _CHARS_PER_TOKEN - self.attempt_usage.output_tokens)

    def seconds_since_created(self, monotonic: float | None) -> float | None:
        """Return the seconds from the creation of the job to the time `monotonic`, or None if `monotonic` is None."""
        return None if monotonic is None else monotonic - self.created_monotonic
