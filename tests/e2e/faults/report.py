"""What came of a run: its figures, what they must reach, and the table of both."""

from typing import Any

from tests.e2e.faults.callers import End
from tests.e2e.faults.gateway import Soaked
from tests.e2e.faults.leftovers import Holdings
from tests.e2e.faults.record import Record


def figures_of(record: Record, gateway: Soaked, before: Holdings, after: Holdings) -> dict[str, Any]:
    """All that a run was, in numbers."""
    end = gateway.samples[-1][0]
    warm, last = gateway.memory(0.05 * end, 0.15 * end), gateway.memory(0.9 * end, end)
    return {
        "requests": record.requests,
        "ended": {each.value: record.count(each) for each in End},
        "attempts": record.attempts,
        "codes": dict(record.codes.most_common()),
        "faults": dict(record.faults.most_common()),
        "lost": record.count(End.LOST),
        "doubled": record.count(End.DOUBLED),
        "disagreements": len(record.wrong) - record.count(End.LOST) - record.count(End.DOUBLED),
        "unbooked": len(record.unbooked),
        "ledger": dict(record.booked.most_common()),
        "sessions": record.sessions,
        "hurt_without_a_fault": dict(record.hurt),
        "processes_started": len(gateway.started),
        "rss_mib": {"start": round(gateway.samples[0][1], 1), "warm": round(warm, 1), "end": round(last, 1)},
        "rss_growth": round(last / warm - 1, 4) if warm else 0.0,
        "held_before": {name: getattr(before, name) for name in Holdings.__slots__},
        "held_after": {name: getattr(after, name) for name in Holdings.__slots__},
        "leaked": after.exceeds(before),
        "slowest_s": round(record.slowest, 2),
        "wrong": [*record.wrong, *record.unbooked][:50],
    }


def targets(figures: dict[str, Any]) -> list[tuple[bool, str, str]]:
    """What a run must reach: whether it did, in words, with what it reached."""
    at_most_none = {
        "lost": "answers lost: 0",
        "doubled": "answers doubled: 0",
        "disagreements": "upstream and sessions disagree with callers: 0",
        "unbooked": "ledger and callers disagree: 0",
        "left_after_a_kill": "processes left 2 s after kill -9: 0",
    }
    leaked, growth, hurt = figures["leaked"], figures["rss_growth"], figures["hurt_without_a_fault"]
    return [
        *((figures[name] == 0, words, str(figures[name])) for name, words in at_most_none.items()),
        (not hurt, "failed without a fault of their own: 0", str(sum(hurt.values()))),
        (growth <= 0.1, "memory at most 10 % over that after warm-up", f"{growth:+.1%}"),
        (not leaked, "no descriptor, process or directory leaked", "; ".join(leaked) or "none"),
    ]


def show(figures: dict[str, Any]) -> bool:
    """Print the table; False where a target was missed."""
    memory = figures["rss_mib"]
    rows = {
        "minutes, callers, workers, seed": "{minutes:g}, {callers}, {workers}, {seed}".format(**figures),
        "requests (attempts)": f"{figures['requests']} ({figures['attempts']})",
        **{f"  {name}": str(count) for name, count in figures["ended"].items()},
        "failed without a fault of its own": str(sum(figures["hurt_without_a_fault"].values())),
        "faults": ", ".join(f"{name} {count}" for name, count in figures["faults"].items()),
        "statuses and codes": ", ".join(f"{name} x{count}" for name, count in figures["codes"].items()),
        "jobs in the ledger": ", ".join(f"{name} {count}" for name, count in figures["ledger"].items()),
        "sessions compared word for word": str(figures["sessions"]),
        "worker processes started": str(figures["processes_started"]),
        "RSS in MiB: start, warm, end": f"{memory['start']}, {memory['warm']}, {memory['end']}",
        "descriptors before, after": f"{figures['held_before']['descriptors']}, {figures['held_after']['descriptors']}",
        "slowest request": f"{figures['slowest_s']} s",
    }
    for name, value in rows.items():
        print(f"{name:36}{value}")
    print()
    met = True
    for good, words, reached in targets(figures):
        met = met and good
        print(f"{'met   ' if good else 'MISSED'}  {words:52}{reached}")
    for line in figures["wrong"]:
        print(f"  wrong: {line}")
    return met
