"""The signing key: each database has its own, which never changes."""

from pathlib import Path

from claude_gateway.auth.signing_key import load_signing_key
from claude_gateway.storage.database import open_database


async def test_each_database_has_its_own_signing_key_and_keeps_it(tmp_path: Path) -> None:
    async with open_database(tmp_path / "a.db") as database:
        first = await load_signing_key(database)
        assert await load_signing_key(database) == first
    async with open_database(tmp_path / "a.db") as again, open_database(tmp_path / "b.db") as another:
        assert await load_signing_key(again) == first
        assert await load_signing_key(another) != first
    assert len(first) == 32
