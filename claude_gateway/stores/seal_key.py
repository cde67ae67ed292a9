"""The key of `access.seal`: made once, kept in the database, which is its user's alone."""

import secrets

from claude_gateway.stores.damage import tell
from claude_gateway.stores.db import Database

_BYTES = 32


async def seal_key(database: Database) -> bytes:
    async with database.transaction() as run:
        await run("INSERT OR IGNORE INTO seal (one, key) VALUES (1, ?)", (secrets.token_bytes(_BYTES),))
        ((key,),) = await run("SELECT key FROM seal")
        if not is_sound(key):
            tell("the seal", ValueError("it is no key; callers' thoughts of before are left out from now on"))
            key = secrets.token_bytes(_BYTES)
            await run("UPDATE seal SET key = ?", (key,))
    return bytes(key)


def is_sound(key: object) -> bool:
    return isinstance(key, bytes) and len(key) == _BYTES
