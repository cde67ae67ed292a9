"""Tracer that exports OpenTelemetry spans.

It records one span for each request. For each job of the request, it records one span for the wait in the queue and one
span for the work of the model. Names and attributes follow the OpenTelemetry conventions for generative AI. Spans
contain no prompts or replies. The gateway imports this module only if the operator enables tracing.
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

from claude_gateway.usage.record import OK, RequestContext, UsageRecord

_SERVICE_NAME = "claude-gateway"
_PROPAGATOR = TraceContextTextMapPropagator()
_MIN_SERVER_ERROR_STATUS = 500


def create_otlp_tracer() -> "OtelTracer":
    """Return a tracer that exports spans over OTLP.

    The standard `OTEL_…` environment variables configure the export.
    """
    return OtelTracer(OTLPSpanExporter())


class OtelTracer:
    """Tracer that creates OpenTelemetry spans. It implements `claude_gateway.observability.tracing.Tracer`."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._provider = TracerProvider(
            resource=Resource({"service.name": _SERVICE_NAME}).merge(Resource.create()), shutdown_on_exit=False
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer(_SERVICE_NAME)

    def request_started(self, context: RequestContext, method: str, headers: Mapping[str, str]) -> None:
        """Start the span of a request. Requests without a dialect have no span.

        If the headers of the request name a parent span, the new span becomes its child.
        """
        if context.dialect:
            context.span = self._tracer.start_span(
                f"{method} {context.route}",
                _PROPAGATOR.extract({name.lower(): value for name, value in headers.items()}),
                SpanKind.SERVER,
                {"http.request.method": method, "http.route": context.route, "gateway.request_id": context.request_id},
            )

    def request_completed(self, context: RequestContext, status: int) -> None:
        """End the span of a request. A response status of 500 or more marks the span as an error."""
        span: Span | None = context.span
        if span is not None:
            span.set_attribute("http.response.status_code", status)
            span.set_attribute("gateway.key_id", context.key_id)
            if status >= _MIN_SERVER_ERROR_STATUS:
                span.set_status(Status(StatusCode.ERROR))
            span.end()

    def job_ended(self, record: UsageRecord) -> None:
        """Record the spans of a job as children of its request's span."""
        if record.context.span is None or record.ended_monotonic is None:
            return
        parent = set_span_in_context(record.context.span)
        queue_end = record.ended_monotonic if record.started_monotonic is None else record.started_monotonic
        self._record_span(parent, "queue", SpanKind.INTERNAL, record, record.created_monotonic, queue_end, {})
        if record.started_monotonic is not None:
            self._record_span(
                parent,
                f"chat {record.model}",
                SpanKind.CLIENT,
                record,
                record.started_monotonic,
                record.ended_monotonic,
                _span_attributes(record),
            )

    def cost_reported(self, record: UsageRecord, usd: float) -> None:
        """Do nothing, because the span of the job has already ended and cannot change any more."""

    def close(self) -> None:
        """Export the spans that are not exported yet. This blocks until the export is complete."""
        self._provider.shutdown()

    def _record_span(
        self,
        parent: Context,
        name: str,
        kind: SpanKind,
        record: UsageRecord,
        start: float,
        end: float,
        attributes: Mapping[str, Any],
    ) -> None:
        span = self._tracer.start_span(
            name, parent, kind, dict(attributes), start_time=_to_epoch_nanoseconds(record, start)
        )
        if record.result != OK and (kind is SpanKind.CLIENT or record.started_monotonic is None):
            span.set_attribute("error.type", record.result)
            span.set_status(Status(StatusCode.ERROR))
        span.end(_to_epoch_nanoseconds(record, end))


def _span_attributes(record: UsageRecord) -> dict[str, Any]:
    usage = record.usage
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": record.context.requested_model,
        "gen_ai.response.model": record.model,
        # The conventions count all input tokens here, including cached ones.
        "gen_ai.usage.input_tokens": usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens,
        "gen_ai.usage.output_tokens": usage.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": usage.cache_read_tokens,
        "gen_ai.usage.cache_creation.input_tokens": usage.cache_write_tokens,
    }
    seconds = record.seconds_since_created(record.first_output_monotonic)
    return attributes | ({} if seconds is None else {"gateway.time_to_first_token_seconds": round(seconds, 4)})


def _to_epoch_nanoseconds(record: UsageRecord, clock_time: float) -> int:
    return int((record.created_at + clock_time - record.created_monotonic) * 1_000_000_000)
