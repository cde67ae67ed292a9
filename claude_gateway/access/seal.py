"""What this gateway gives to a caller to keep, and knows again when it comes back. Pure.

Authentic, not secret: the caller may read it, and cannot change it, nor can another key's caller send it.
"""

import base64
import binascii
import hmac

_DIGEST = "sha256"
_LENGTH = 32
_URL_SAFE = str.maketrans("-_", "+/")


class Seal:
    """`key` is the gateway's own, `owner` the calling key."""

    def __init__(self, key: bytes, owner: str) -> None:
        # Of one length, so that no owner's name runs into the content.
        self._key = hmac.digest(key, owner.encode("utf-8", "surrogatepass"), _DIGEST)

    def seal(self, content: bytes) -> str:
        return base64.urlsafe_b64encode(self._mark(content) + content).decode()

    def unseal(self, sealed: str) -> bytes | None:
        """What `seal` was given; None for anything else, altered, foreign or another caller's."""
        try:
            # Programs that hold it as bytes write it in either alphabet.
            raw = base64.b64decode(sealed.translate(_URL_SAFE), validate=True)
        except (binascii.Error, ValueError):
            return None
        mark, content = raw[:_LENGTH], raw[_LENGTH:]
        return content if hmac.compare_digest(mark, self._mark(content)) else None

    def _mark(self, content: bytes) -> bytes:
        return hmac.digest(self._key, content, _DIGEST)
