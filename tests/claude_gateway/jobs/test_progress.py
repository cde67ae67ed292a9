"""Progress of a job: the batches that its reader gets, and the usage that it records."""

from claude_gateway.builtin_tools.counters import ToolCounters
from claude_gateway.jobs.progress import JobProgress
from claude_gateway.usage.recorder import UsageRecorder
from tests.claude_gateway.scripted import FINISHED, HELLO_EVENTS, JOB, STARTED
from workers.core.events import StreamReset, TextDelta, ToolCallStarted

RESET = StreamReset()


def start_progress() -> JobProgress:
    recorder = UsageRecorder()
    return JobProgress(ToolCounters().for_job(JOB), recorder, recorder.open(JOB))


def test_passes_a_batch_on_as_one_batch() -> None:
    progress = start_progress()

    assert list(progress.pass_on(HELLO_EVENTS)) == [list(HELLO_EVENTS)]
    assert progress.final_usage == FINISHED.usage
    assert progress.output_sent


def test_stream_reset_becomes_a_batch_of_its_own() -> None:
    deltas = [TextDelta("a"), TextDelta("b")]

    batches = list(start_progress().pass_on([deltas[0], RESET, deltas[1], RESET]))

    assert batches == [[deltas[0]], [RESET], [deltas[1]], [RESET]]


def test_second_start_and_hidden_tool_calls_do_not_make_empty_batches() -> None:
    progress = start_progress()

    assert list(progress.pass_on([STARTED])) == [[STARTED]]
    assert list(progress.pass_on([STARTED])) == []
    assert list(progress.pass_on([ToolCallStarted("id", "Read", "")])) == []
    assert progress.tools_ran
    assert not progress.output_sent


def test_deltas_count_as_requests_also_across_batches() -> None:
    progress = start_progress()
    counts = []
    for size in (100, 100, 300):
        list(progress.pass_on([TextDelta("x")] * size))
        counts.append(progress.take_request_count())

    assert counts == [0, 1, 2]  # 128 deltas for each request
