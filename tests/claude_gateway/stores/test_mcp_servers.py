"""The servers of each key: kept whole, for that key alone."""

from pathlib import Path

from claude_gateway.mcp_servers.server import Address, Program, Server
from claude_gateway.stores.db import open_database
from claude_gateway.stores.mcp_servers import McpServerStore

FILES = Server("files", Program(("server", "--all"), {"KEY": "secret"}), "about")
WEB = Server("web", Address("https://a/?b", {"X": "secret"}, "sse"), enabled=False)


async def test_servers_are_there_after_a_restart_for_their_owner_and_wanted_ones_for_the_gateway(
    tmp_path: Path,
) -> None:
    async with open_database(tmp_path / "db") as database:
        store = McpServerStore(database)
        assert [await store.write("ann", one, 5, 0.0) for one in (WEB, FILES, FILES)] == [True, True, False]
        await store.want("ann", "files", True)
    async with open_database(tmp_path / "db") as database:
        store = McpServerStore(database)
        assert await store.all_of("ann") == [FILES, WEB]
        assert await store.all_of("ben") == []
        assert (await store.find("ann", "web"), await store.find("ben", "web")) == (WEB, None)
        assert await store.wanted() == [("ann", FILES)]


async def test_one_that_is_registered_anew_is_not_wanted_any_more(tmp_path: Path) -> None:
    async with open_database(tmp_path / "db") as database:
        store = McpServerStore(database)
        await store.write("ann", FILES, 5, 0.0)
        await store.want("ann", "files", True)
        await store.write("ann", FILES, 5, 0.0)
        assert await store.wanted() == []


async def test_no_key_has_more_than_its_number_and_none_deletes_anothers(tmp_path: Path) -> None:
    async with open_database(tmp_path / "db") as database:
        store = McpServerStore(database)
        assert await store.write("ann", FILES, 1, 0.0)
        assert await store.write("ann", WEB, 1, 0.0) is None
        assert await store.write("ben", WEB, 1, 0.0)
        assert [await store.delete("ben", "files"), await store.delete("ann", "files")] == [False, True]
        assert await store.write("ann", WEB, 1, 0.0)
