"""The report of a run: its figures, the targets for them, and a table of both."""

from typing import Any

from tests.e2e.faults.gateway import MonitoredGateway
from tests.e2e.faults.load_clients import RequestEnd
from tests.e2e.faults.record import RunRecord
from tests.e2e.faults.resource_counts import ResourceCounts


def summarize_run(
    record: RunRecord, gateway: MonitoredGateway, baseline: ResourceCounts, final: ResourceCounts
) -> dict[str, Any]:
    """Return all figures of a run."""
    end_seconds = gateway.memory_samples[-1][0]
    warm_mib = gateway.median_memory_mib(0.05 * end_seconds, 0.15 * end_seconds)
    end_mib = gateway.median_memory_mib(0.9 * end_seconds, end_seconds)
    return {
        "requests": record.request_count,
        "ends": {end.value: record.count_ends(end) for end in RequestEnd},
        "attempts": record.attempt_count,
        "error_codes": dict(record.error_counts.most_common()),
        "faults": dict(record.fault_counts.most_common()),
        "lost": record.count_ends(RequestEnd.LOST),
        "duplicated": record.count_ends(RequestEnd.DUPLICATED),
        "mismatches": len(record.problems)
        - record.count_ends(RequestEnd.LOST)
        - record.count_ends(RequestEnd.DUPLICATED),
        "usage_problems": len(record.usage_problems),
        "usage_results": dict(record.usage_result_counts.most_common()),
        "sessions": record.session_count,
        "failures_without_fault": dict(record.unexpected_failures),
        "processes_started": len(gateway.worker_pids),
        "rss_mib": {
            "start": round(gateway.memory_samples[0][1], 1),
            "warm": round(warm_mib, 1),
            "end": round(end_mib, 1),
        },
        "rss_growth": round(end_mib / warm_mib - 1, 4) if warm_mib else 0.0,
        "resources_before": {name: getattr(baseline, name) for name in ResourceCounts.__slots__},
        "resources_after": {name: getattr(final, name) for name in ResourceCounts.__slots__},
        "leaked": final.find_increases(baseline),
        "max_seconds": round(record.max_seconds, 2),
        "problems": [*record.problems, *record.usage_problems][:50],
    }


def evaluate_targets(summary: dict[str, Any]) -> list[tuple[bool, str, str]]:
    """Return for each target whether the run met it, the target in words, and the figure."""
    zero_targets = {
        "lost": "replies lost: 0",
        "duplicated": "replies duplicated: 0",
        "mismatches": "upstream or sessions differ from the clients' observations: 0",
        "usage_problems": "usage records differ from the clients' observations: 0",
        "processes_after_kill": "processes left 2 s after kill -9: 0",
    }
    leaks, growth, failures = summary["leaked"], summary["rss_growth"], summary["failures_without_fault"]
    return [
        *((summary[name] == 0, words, str(summary[name])) for name, words in zero_targets.items()),
        (not failures, "requests without a fault that failed: 0", str(sum(failures.values()))),
        (growth <= 0.1, "memory at most 10 % over that after warm-up", f"{growth:+.1%}"),
        (not leaks, "no descriptor, process or directory leaked", "; ".join(leaks) or "none"),
    ]


def print_report(summary: dict[str, Any]) -> bool:
    """Print the table, and return whether the run met every target."""
    memory = summary["rss_mib"]
    rows = {
        "minutes, clients, workers, seed": "{minutes:g}, {clients}, {workers}, {seed}".format(**summary),
        "requests (attempts)": f"{summary['requests']} ({summary['attempts']})",
        **{f"  {name}": str(count) for name, count in summary["ends"].items()},
        "requests without a fault that failed": str(sum(summary["failures_without_fault"].values())),
        "faults": ", ".join(f"{name} {count}" for name, count in summary["faults"].items()),
        "statuses and codes": ", ".join(f"{name} x{count}" for name, count in summary["error_codes"].items()),
        "results of usage records": ", ".join(f"{name} {count}" for name, count in summary["usage_results"].items()),
        "sessions compared word for word": str(summary["sessions"]),
        "worker processes started": str(summary["processes_started"]),
        "RSS in MiB: start, warm, end": f"{memory['start']}, {memory['warm']}, {memory['end']}",
        "descriptors before, after": (
            f"{summary['resources_before']['descriptors']}, {summary['resources_after']['descriptors']}"
        ),
        "slowest request": f"{summary['max_seconds']} s",
    }
    for name, value in rows.items():
        print(f"{name:36}{value}")
    print()
    all_met = True
    for is_met, words, figure in evaluate_targets(summary):
        all_met = all_met and is_met
        print(f"{'met   ' if is_met else 'MISSED'}  {words:62}{figure}")
    for problem in summary["problems"]:
        print(f"  problem: {problem}")
    return all_met
