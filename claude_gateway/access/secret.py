"""A key as its holder has it: `cgw_<id>_<secret>`. Made once, shown once; what is kept of it is its digest.

Of a shape of its own, with a checksum at its end, so that programs that look for secrets in code know it, and know it
from what only looks like one: `cgw_[0-9a-f]{12}_[0-9a-f]{56}`.
"""

import hashlib
import re
import secrets
import zlib

_ID_BYTES = 6
_SECRET_BYTES = 24
_SHAPE = re.compile(r"(cgw_([0-9a-f]{12})_[0-9a-f]{48})([0-9a-f]{8})")


def new_id() -> str:
    """Public: it names the key in lists and logs."""
    return secrets.token_hex(_ID_BYTES)


def new_secret(id_: str) -> str:
    body = f"cgw_{id_}_{secrets.token_hex(_SECRET_BYTES)}"
    return body + _checksum(body)


def id_of(secret: str) -> str | None:
    """Which key it says it is; None for what was never made here."""
    match = _SHAPE.fullmatch(secret)
    return match[2] if match and match[3] == _checksum(match[1]) else None


def digest(secret: str) -> bytes:
    """SHA-256. No slow hash: nobody guesses what was drawn by lot from 2^192."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()


def _checksum(body: str) -> str:
    return f"{zlib.crc32(body.encode()):08x}"
