"""Counts of tools are there after a restart, each key's its own."""

from pathlib import Path

from claude_gateway.own_tools.counts import ToolCount, ToolCounts
from claude_gateway.stores.db import open_database
from claude_gateway.stores.tool_counts import ToolCountStore


async def test_what_was_counted_is_there_after_a_restart_and_goes_on(tmp_path: Path) -> None:
    for _ in range(2):
        counts = ToolCounts()
        async with open_database(tmp_path / "gateway.db") as database, ToolCountStore(database).keeping(counts):
            counts.counting("one", "Bash").calls += 1
            counts.counting("other", "Read").failed += 1
    async with open_database(tmp_path / "gateway.db") as database:
        await ToolCountStore(database).read(again := ToolCounts())
    assert again.of("one") == {"Bash": ToolCount(2)}
    assert again.of("other") == {"Read": ToolCount(failed=2)}


async def test_only_what_changed_is_written(tmp_path: Path) -> None:
    async with open_database(tmp_path / "gateway.db") as database:
        store, counts = ToolCountStore(database), ToolCounts()
        counts.counting("one", "Bash").calls += 1
        await store.write(counts)
        assert counts.take_changed() == []
        counts.counting("one", "Read").calls += 1
        assert counts.take_changed() == [("one", "Read", ToolCount(1))]
