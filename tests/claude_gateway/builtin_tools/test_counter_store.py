"""Tool counters of each key survive a restart."""

from pathlib import Path

from claude_gateway.builtin_tools.counter_store import ToolCountStore
from claude_gateway.builtin_tools.counters import ToolCounter, ToolCounters
from claude_gateway.storage.database import open_database


async def test_counters_continue_after_a_restart(tmp_path: Path) -> None:
    for _ in range(2):
        counters = ToolCounters()
        async with open_database(tmp_path / "gateway.db") as database, ToolCountStore(database).run(counters):
            counters.get_counter("one", "Bash").call_count += 1
            counters.get_counter("other", "Read").failed_count += 1
    async with open_database(tmp_path / "gateway.db") as database:
        await ToolCountStore(database).load(loaded := ToolCounters())
    assert loaded.counters_of("one") == {"Bash": ToolCounter(2)}
    assert loaded.counters_of("other") == {"Read": ToolCounter(failed_count=2)}


async def test_writes_only_changed_counters(tmp_path: Path) -> None:
    async with open_database(tmp_path / "gateway.db") as database:
        store, counters = ToolCountStore(database), ToolCounters()
        counters.get_counter("one", "Bash").call_count += 1
        await store.write(counters)
        assert counters.take_unsaved() == []
        counters.get_counter("one", "Read").call_count += 1
        assert counters.take_unsaved() == [("one", "Read", ToolCounter(1))]
