"""The key of the seal: one for each database, and always the same."""

from pathlib import Path

from claude_gateway.stores.db import open_database
from claude_gateway.stores.seal_key import seal_key


async def test_a_database_has_one_key_and_keeps_it(tmp_path: Path) -> None:
    async with open_database(tmp_path / "a.db") as database:
        first = await seal_key(database)
        assert await seal_key(database) == first
    async with open_database(tmp_path / "a.db") as again, open_database(tmp_path / "b.db") as another:
        assert await seal_key(again) == first
        assert await seal_key(another) != first
    assert len(first) == 32
