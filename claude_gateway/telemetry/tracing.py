"""Spans of requests and their jobs, where somebody wants them; without that nothing of OpenTelemetry is loaded."""

from collections.abc import Mapping
from typing import Protocol

from claude_gateway.ledger.entry import Entry, Visit
from claude_gateway.start_failed import StartFailed

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


class Traces(Protocol):
    """Also a watcher of the ledger."""

    def begin(self, visit: Visit, method: str, headers: Mapping[str, str]) -> None:
        """A request comes; `headers` may name the span that it belongs to."""
        ...

    def answered(self, visit: Visit, status: int) -> None: ...
    def job_ended(self, entry: Entry) -> None: ...
    def cost_told(self, entry: Entry, usd: float) -> None: ...
    def close(self) -> None:
        """Send what is yet to be sent; blocks."""
        ...


class NoTraces:
    def begin(self, visit: Visit, method: str, headers: Mapping[str, str]) -> None:
        pass

    def answered(self, visit: Visit, status: int) -> None:
        pass

    def job_ended(self, entry: Entry) -> None:
        pass

    def cost_told(self, entry: Entry, usd: float) -> None:
        pass

    def close(self) -> None:
        pass


def open_traces(environment: Mapping[str, str]) -> Traces:
    """As the environment wants them. Loads modules: not for the event loop. Raises `StartFailed`."""
    wanted = any(environment.get(name) for name in _ENDPOINTS)
    if not wanted or environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return NoTraces()
    try:
        from claude_gateway.telemetry.otel import exported
    except ImportError:
        raise StartFailed(
            "OTEL_EXPORTER_OTLP_ENDPOINT is set, and OpenTelemetry is not installed: pip install 'claude-gateway[otel]'"
        ) from None
    return exported()
