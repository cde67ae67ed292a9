"""Tracing: spans of requests and jobs in the trace of the client, and no OpenTelemetry import if tracing is off."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from claude_gateway.observability.otel import OtelTracer
from claude_gateway.observability.tracing import NullTracer, create_tracer
from claude_gateway.usage.recorder import UsageRecorder
from tests.claude_gateway.scripted import CHAT_BODY, HELLO_EVENTS, MODEL, STREAM_BODY, ScriptedWorkerSource
from tests.claude_gateway.web.conftest import Serve
from workers.core.errors import ErrorKind, WorkerError

PATH = "/v1/chat/completions"
TRACE_ID, PARENT_SPAN_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


async def record_spans(
    serve: Serve, worker_source: ScriptedWorkerSource, body: object, *paths: str
) -> list[ReadableSpan]:
    exporter = InMemorySpanExporter()
    tracer = await asyncio.to_thread(OtelTracer, exporter)
    client = await serve(worker_source, tracer=tracer, usage_recorder=UsageRecorder(observers=[tracer]))
    await (await client.post(PATH, json=body, headers={"traceparent": f"00-{TRACE_ID}-{PARENT_SPAN_ID}-01"})).read()
    for path in paths:
        await client.get(path)
    await client.close()
    await asyncio.to_thread(tracer.close)
    return list(exporter.get_finished_spans())


@pytest.mark.parametrize("body", [CHAT_BODY, STREAM_BODY], ids=["whole", "stream"])
async def test_request_span_contains_its_job_spans_and_joins_the_trace_of_the_client(
    serve: Serve, body: object
) -> None:
    spans = await record_spans(serve, ScriptedWorkerSource.repeating(*HELLO_EVENTS), body, "/health", "/nowhere")

    by_name = {span.name: span for span in spans}
    assert by_name.keys() == {f"POST {PATH}", "queue", "chat claude-test"}
    request = by_name[f"POST {PATH}"]
    assert f"{request.context.trace_id:032x}" == TRACE_ID
    assert request.parent is not None
    assert f"{request.parent.span_id:016x}" == PARENT_SPAN_ID
    assert request.attributes is not None
    assert request.attributes["http.response.status_code"] == 200
    job = by_name["chat claude-test"]
    for span in (job, by_name["queue"]):
        assert span.parent is not None
        assert span.parent.span_id == request.context.span_id
    assert job.attributes is not None
    assert job.attributes["gen_ai.request.model"] == MODEL
    assert (job.attributes["gen_ai.usage.input_tokens"], job.attributes["gen_ai.usage.output_tokens"]) == (3, 2)
    assert "hi" not in str(dict(job.attributes)).split("'")


async def test_failed_job_is_an_error_span_with_its_kind(serve: Serve) -> None:
    spans = await record_spans(
        serve, ScriptedWorkerSource.repeating(WorkerError(ErrorKind.UPSTREAM_ERROR, "broke")), CHAT_BODY
    )

    (job,) = [span for span in spans if span.name.startswith("chat ")]
    assert job.attributes is not None
    assert job.attributes["error.type"] == "upstream_error"
    assert not job.status.is_ok
    (request,) = [span for span in spans if span.name.startswith("POST")]
    assert not request.status.is_ok


def test_imports_no_opentelemetry_if_disabled() -> None:
    assert isinstance(create_tracer({}), NullTracer)
    assert isinstance(
        create_tracer({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "true"}), NullTracer
    )
    script = "import claude_gateway.app, sys; print([name for name in sys.modules if 'opentelemetry' in name])"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.fixture
def collector() -> Iterator[tuple[str, list[str]]]:
    """Return the URL of a span collector, and the list of the paths of its requests."""
    paths: list[str] = []

    class CollectorHandler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            paths.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), CollectorHandler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", paths
        server.shutdown()
        thread.join()


def test_sends_spans_if_enabled(collector: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    url, paths = collector
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    tracer = create_tracer({"OTEL_EXPORTER_OTLP_ENDPOINT": url})
    from claude_gateway.usage.record import RequestContext

    context = RequestContext("req-1", "openai_chat", PATH)
    tracer.request_started(context, "POST", {})
    tracer.request_completed(context, 200)
    tracer.close()

    assert paths == ["/v1/traces"]
