"""The key of `access.seal`: made once, kept in the database, which is its user's alone."""

import secrets

from claude_gateway.stores.db import Database

_BYTES = 32


async def seal_key(database: Database) -> bytes:
    async with database.transaction() as run:
        await run("INSERT OR IGNORE INTO seal (one, key) VALUES (1, ?)", (secrets.token_bytes(_BYTES),))
        ((key,),) = await run("SELECT key FROM seal")
    return bytes(key)
