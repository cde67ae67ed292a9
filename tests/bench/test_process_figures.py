"""Tests of the figures about chat processes."""

import pytest

from bench.figures import add_baseline
from bench.process_figures import ProcessFigures, compute_reused_share, parse_process_figures
from bench.process_memory import MemorySample, format_day, summarize_day
from claude_gateway.observability.metrics import Metrics
from claude_gateway.usage.record import UnwrittenRecords

NO_PROCESSES = ProcessFigures(0, {}, {})


def test_figures_are_those_of_the_chat_processes_in_the_metrics() -> None:
    metrics = Metrics()
    for seconds in (0.4, 0.6):
        metrics.process_started("chat", seconds)
    metrics.process_started("agent", 0.5)
    for source in ("new", "reused", "reused"):
        metrics.history_loaded("chat", source)
    metrics.history_loaded("agent", "resumed")

    text = metrics.render(80, 10, [], {}, UnwrittenRecords()).decode()

    assert parse_process_figures(text) == ProcessFigures(2, {"new": 1, "reused": 2}, {})


def test_phases_are_read_whatever_the_order_of_the_labels() -> None:
    text = 'gateway_workers{phase="ready",pool="chat"} 2.0\ngateway_workers{pool="chat",phase="starting"} 1.0\n'

    assert parse_process_figures(text).phase_counts == {"ready": 2, "starting": 1}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({}, {}, 0.0),
        ({"new": 3}, {"new": 3, "reused": 4}, 1.0),
        ({"new": 3, "reused": 1}, {"new": 4, "reused": 4}, 0.75),
    ],
)
def test_reused_share_is_that_of_the_jobs_in_between(
    before: dict[str, int], after: dict[str, int], expected: float
) -> None:
    assert compute_reused_share(ProcessFigures(0, before, {}), ProcessFigures(0, after, {})) == expected


def test_figures_of_the_baseline_have_a_prefix() -> None:
    assert add_baseline({"ms": 1}, {"ms": 2}) == {"ms": 1, "baseline_ms": 2}


DAY = [
    MemorySample(0.0, "night", 1, 150.0, 80.0),
    MemorySample(1.0, "morning", 3, 450.0, 81.0),
    MemorySample(2.0, "morning", 3, 470.0, 82.0),
    MemorySample(3.0, "noon", 3, 460.0, 82.0),
    MemorySample(4.0, "noon", 1, 155.0, 82.0),
]


def test_table_of_a_day_has_a_line_for_each_change() -> None:
    _, *lines = format_day(DAY)

    assert [line.split() for line in lines] == [
        ["0", "s", "night", "1", "150", "MiB", "80", "MiB"],
        ["1", "s", "morning", "3", "470", "MiB", "82", "MiB"],
        ["3", "s", "noon", "3", "460", "MiB", "82", "MiB"],
        ["4", "s", "noon", "1", "155", "MiB", "82", "MiB"],
    ]


def test_summary_of_a_day_has_its_maximum_and_its_end() -> None:
    assert summarize_day(DAY) == {
        "max_processes": 3,
        "max_mib": 470,
        "last_processes": 1,
        "last_mib": 155,
        "gateway_growth_mib": 2,
    }
