"""What the log says of a request that is answered: its times and counts, nothing of what was said. Pure."""

from typing import Any

from claude_gateway.ledger.entry import Visit
from workers.events import NOTHING_USED

_LONGEST_NAME = 80


def fields(visit: Visit, seconds: float) -> dict[str, Any]:
    """By name; those that say nothing are left out. Several jobs are added up, and their waits are the longest."""
    used = NOTHING_USED
    for entry in visit.entries:
        used += entry.usage
    queue = [wait for entry in visit.entries if (wait := entry.since_it_came(entry.taken)) is not None]
    first = [wait for entry in visit.entries if (wait := entry.since_it_came(entry.shown)) is not None]
    told = {
        "key_id": visit.key,
        "dialect": visit.dialect,
        "model": "".join(letter if letter.isprintable() else "?" for letter in visit.model[:_LONGEST_NAME]),
        "session": visit.session,
        "jobs": len(visit.entries),
        "result": visit.entries[-1].result if visit.entries else "",
        "queue_ms": _ms(max(queue)) if queue else None,
        "first_token_ms": _ms(max(first)) if first else None,
        "total_ms": _ms(seconds),
        "input": used.input,
        "output": used.output,
        "cache_read": used.cache_read,
        "cache_write": used.cache_write,
    }
    return {name: value for name, value in told.items() if value or isinstance(value, float)}


def text(told: dict[str, Any]) -> str:
    """The same for people."""
    return " ".join(f"{name}={value}" for name, value in told.items() if name != "total_ms")


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
