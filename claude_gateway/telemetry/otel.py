"""Spans for OpenTelemetry: a request, and for each of its jobs a wait and the work. Only loaded where they are wanted.

Names and attributes are those of the conventions for generative AI. Nothing of what was said is in them.
"""

from collections.abc import Mapping
from typing import Any

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from claude_gateway.ledger.entry import OK, Entry, Visit

_NAME = "claude-gateway"
_PROPAGATOR = TraceContextTextMapPropagator()
_SERVER_ERROR = 500


def exported() -> "OtelTraces":
    """To where the usual variables of the environment say."""
    return OtelTraces(OTLPSpanExporter())


class OtelTraces:
    def __init__(self, exporter: SpanExporter) -> None:
        self._provider = TracerProvider(
            resource=Resource({"service.name": _NAME}).merge(Resource.create()), shutdown_on_exit=False
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer(_NAME)

    def begin(self, visit: Visit, method: str, headers: Mapping[str, str]) -> None:
        if visit.dialect:
            visit.trace = self._tracer.start_span(
                f"{method} {visit.route}",
                _PROPAGATOR.extract({name.lower(): value for name, value in headers.items()}),
                SpanKind.SERVER,
                {"http.request.method": method, "http.route": visit.route, "gateway.request_id": visit.request_id},
            )

    def answered(self, visit: Visit, status: int) -> None:
        span: Span | None = visit.trace
        if span is not None:
            span.set_attribute("http.response.status_code", status)
            span.set_attribute("gateway.key_id", visit.key)
            if status >= _SERVER_ERROR:
                span.set_status(Status(StatusCode.ERROR))
            span.end()

    def job_ended(self, entry: Entry) -> None:
        if entry.visit.trace is None or entry.ended is None:
            return
        below = set_span_in_context(entry.visit.trace)
        taken = entry.ended if entry.taken is None else entry.taken
        self._span(below, "queue", SpanKind.INTERNAL, entry, entry.came, taken, {})
        if entry.taken is not None:
            self._span(below, f"chat {entry.model}", SpanKind.CLIENT, entry, taken, entry.ended, _attributes(entry))

    def cost_told(self, entry: Entry, usd: float) -> None:
        """A span that has ended cannot be told more."""

    def close(self) -> None:
        self._provider.shutdown()

    def _span(
        self,
        below: Context,
        name: str,
        kind: SpanKind,
        entry: Entry,
        began: float,
        ended: float,
        attributes: Mapping[str, Any],
    ) -> None:
        span = self._tracer.start_span(name, below, kind, dict(attributes), start_time=_nanoseconds(entry, began))
        if entry.result != OK and (kind is SpanKind.CLIENT or entry.taken is None):
            span.set_attribute("error.type", entry.result)
            span.set_status(Status(StatusCode.ERROR))
        span.end(_nanoseconds(entry, ended))


def _attributes(entry: Entry) -> dict[str, Any]:
    used = entry.usage
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": entry.visit.model,
        "gen_ai.response.model": entry.model,
        # By the conventions it is all of the input, what the cache held too.
        "gen_ai.usage.input_tokens": used.input + used.cache_read + used.cache_write,
        "gen_ai.usage.output_tokens": used.output,
        "gen_ai.usage.cache_read.input_tokens": used.cache_read,
        "gen_ai.usage.cache_creation.input_tokens": used.cache_write,
    }
    first = entry.since_it_came(entry.shown)
    return attributes | ({} if first is None else {"gateway.first_token_seconds": round(first, 4)})


def _nanoseconds(entry: Entry, moment: float) -> int:
    return int((entry.begun_at + moment - entry.came) * 1_000_000_000)
