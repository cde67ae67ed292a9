"""Loads the secret key with which `auth.signing` signs data.

The gateway creates the key once and stores it in the database. Only the gateway's user can read the database.
"""

import secrets

from claude_gateway.storage.database import Database
from claude_gateway.storage.row_reader import log_unreadable

_KEY_BYTES = 32


async def load_signing_key(database: Database) -> bytes:
    """Return the signing key; create it if it is missing, and replace it if it is damaged."""
    async with database.transaction() as run:
        await run("INSERT OR IGNORE INTO signing_key (one, key) VALUES (1, ?)", (secrets.token_bytes(_KEY_BYTES),))
        ((key,),) = await run("SELECT key FROM signing_key")
        if not is_valid_signing_key(key):
            reason = "it is replaced; thinking blocks that clients got before are ignored from now on"
            log_unreadable("the signing key", ValueError(reason))
            key = secrets.token_bytes(_KEY_BYTES)
            await run("UPDATE signing_key SET key = ?", (key,))
    return bytes(key)


def is_valid_signing_key(key: object) -> bool:
    """Return whether a value from the database can be the signing key."""
    return isinstance(key, bytes) and len(key) == _KEY_BYTES
