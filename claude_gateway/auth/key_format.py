"""Format of API keys (`cgw_<id>_<secret>`). The gateway shows a new key once and stores only the key's digest.

The format `cgw_[0-9a-f]{12}_[0-9a-f]{56}` is unique to this project and ends with a checksum. Programs that search
source code for secrets can recognize a key by this format. By the checksum, they can dismiss a text that only looks
like a key.
"""

import hashlib
import re
import secrets
import zlib

_ID_BYTES = 6
_SECRET_BYTES = 24
_KEY_PATTERN = re.compile(r"(cgw_([0-9a-f]{12})_[0-9a-f]{48})([0-9a-f]{8})")


def new_key_id() -> str:
    """Return a random key id. Key ids are public, because lists and logs show them."""
    return secrets.token_hex(_ID_BYTES)


def new_secret(key_id: str) -> str:
    """Return a new random secret for the key, in the complete format that the client sends."""
    body = f"cgw_{key_id}_{secrets.token_hex(_SECRET_BYTES)}"
    return body + _checksum(body)


def parse_key_id(secret: str) -> str | None:
    """Return the key id that a secret contains; None if its format or checksum is wrong."""
    match = _KEY_PATTERN.fullmatch(secret)
    return match[2] if match and match[3] == _checksum(match[1]) else None


def hash_secret(secret: str) -> bytes:
    """Return the SHA-256 digest of a secret. A fast hash is sufficient for random secrets of 192 bits."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()


def _checksum(body: str) -> str:
    return f"{zlib.crc32(body.encode()):08x}"
