"""Optional tracing of requests and their jobs. The gateway imports OpenTelemetry only if tracing is enabled."""

from collections.abc import Mapping
from typing import Protocol

from claude_gateway.core.errors import StartupError
from claude_gateway.usage.record import RequestContext, UsageRecord

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


class Tracer(Protocol):
    """Interface of a tracer. A tracer records requests and jobs as OpenTelemetry spans.

    The web layer reports requests to the tracer, and the usage recorder reports jobs and their costs.
    """

    def request_started(self, context: RequestContext, method: str, headers: Mapping[str, str]) -> None:
        """Handle the start of a request. The headers of the request may name a parent span."""
        ...

    def request_completed(self, context: RequestContext, status: int) -> None:
        """Handle the end of a request."""
        ...

    def job_ended(self, record: UsageRecord) -> None:
        """Handle the end of a job."""
        ...

    def cost_reported(self, record: UsageRecord, usd: float) -> None:
        """Handle the cost of a job, which the CLI may report after the end of the job."""
        ...

    def close(self) -> None:
        """Export the spans that are not exported yet. This blocks until the export is complete."""
        ...


class NullTracer:
    """Tracer that does nothing, for a gateway without tracing."""

    def request_started(self, context: RequestContext, method: str, headers: Mapping[str, str]) -> None:
        """Do nothing."""

    def request_completed(self, context: RequestContext, status: int) -> None:
        """Do nothing."""

    def job_ended(self, record: UsageRecord) -> None:
        """Do nothing."""

    def cost_reported(self, record: UsageRecord, usd: float) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


def create_tracer(environment: Mapping[str, str]) -> Tracer:
    """Return the tracer that the environment variables configure.

    This function imports modules, which takes a long time. Therefore do not call it on the event loop.

    Raises:
        StartupError: The operator enabled tracing, but OpenTelemetry is not installed.
    """
    has_endpoint = any(environment.get(name) for name in _ENDPOINTS)
    if not has_endpoint or environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return NullTracer()
    try:
        from claude_gateway.observability.otel import create_otlp_tracer
    except ImportError:
        raise StartupError(
            "OTEL_EXPORTER_OTLP_ENDPOINT is set, but OpenTelemetry is not installed. "
            "Run: pip install 'claude-gateway[otel]'"
        ) from None
    return create_otlp_tracer()
