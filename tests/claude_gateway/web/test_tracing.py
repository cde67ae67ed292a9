"""Traces: a request and its jobs as spans, the caller's trace continued, and nothing loaded where nobody wants them."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from claude_gateway.ledger.ledger import Ledger
from claude_gateway.telemetry.otel import OtelTraces
from claude_gateway.telemetry.tracing import NoTraces, open_traces
from tests.claude_gateway.scripted import CHAT, HELLO, MODEL, STREAM, ScriptedDispatcher
from tests.claude_gateway.web.conftest import Serve
from workers.errors import ErrorKind, WorkerError

PATH = "/v1/chat/completions"
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


async def spans_of(serve: Serve, dispatcher: ScriptedDispatcher, body: object, *paths: str) -> list[ReadableSpan]:
    exporter = InMemorySpanExporter()
    traces = await asyncio.to_thread(OtelTraces, exporter)
    client = await serve(dispatcher, traces=traces, ledger=Ledger(watchers=[traces]))
    await (await client.post(PATH, json=body, headers={"traceparent": f"00-{TRACE}-{PARENT}-01"})).read()
    for path in paths:
        await client.get(path)
    await client.close()
    await asyncio.to_thread(traces.close)
    return list(exporter.get_finished_spans())


@pytest.mark.parametrize("body", [CHAT, STREAM], ids=["whole", "stream"])
async def test_a_request_is_a_span_with_its_jobs_below_in_the_trace_of_its_caller(serve: Serve, body: object) -> None:
    spans = await spans_of(serve, ScriptedDispatcher.always(*HELLO), body, "/health", "/nowhere")

    by_name = {span.name: span for span in spans}
    assert by_name.keys() == {f"POST {PATH}", "queue", "chat claude-test"}
    request = by_name[f"POST {PATH}"]
    assert f"{request.context.trace_id:032x}" == TRACE
    assert request.parent is not None
    assert f"{request.parent.span_id:016x}" == PARENT
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


async def test_a_failure_is_an_error_with_its_kind(serve: Serve) -> None:
    spans = await spans_of(serve, ScriptedDispatcher.always(WorkerError(ErrorKind.UPSTREAM, "broke")), CHAT)

    (job,) = [span for span in spans if span.name.startswith("chat ")]
    assert job.attributes is not None
    assert job.attributes["error.type"] == "upstream"
    assert not job.status.is_ok
    (request,) = [span for span in spans if span.name.startswith("POST")]
    assert not request.status.is_ok


def test_where_nobody_wants_them_nothing_of_it_is_loaded() -> None:
    assert isinstance(open_traces({}), NoTraces)
    assert isinstance(open_traces({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "true"}), NoTraces)
    loaded = "import claude_gateway.app, sys; print([name for name in sys.modules if 'opentelemetry' in name])"
    assert subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.fixture
def collector() -> Iterator[tuple[str, list[str]]]:
    """Where spans are sent to, and the paths that were."""
    sent: list[str] = []

    class Collecting(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            sent.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Collecting) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", sent
        server.shutdown()
        thread.join()


def test_where_they_are_wanted_they_are_sent(collector: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    url, sent = collector
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    traces = open_traces({"OTEL_EXPORTER_OTLP_ENDPOINT": url})
    from claude_gateway.ledger.entry import Visit

    visit = Visit("req-1", "openai_chat", PATH)
    traces.begin(visit, "POST", {})
    traces.answered(visit, 200)
    traces.close()

    assert sent == ["/v1/traces"]
