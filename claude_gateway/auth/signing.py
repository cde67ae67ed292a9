"""Signs data that clients keep and send back to the gateway. No I/O.

The data is not secret, because the client can read it. The gateway detects every change to the data, and it accepts the
data only with the API key for which it signed the data.
"""

import base64
import binascii
import hmac

_HASH_NAME = "sha256"
_SIGNATURE_BYTES = 32
_URL_SAFE_TO_STANDARD = str.maketrans("-_", "+/")


class HmacSigner:
    """Signs and verifies data for one API key with HMAC-SHA-256.

    Args:
        signing_key: The gateway's secret key for signatures.
        key_id: The API key for which the data is valid.
    """

    def __init__(self, signing_key: bytes, key_id: str) -> None:
        # Derive a key of fixed length from the key id, so that the boundary between key id and content is unambiguous.
        self._key = hmac.digest(signing_key, key_id.encode("utf-8", "surrogatepass"), _HASH_NAME)

    def sign(self, content: bytes) -> str:
        """Return the signature and the content as URL-safe Base64."""
        return base64.urlsafe_b64encode(self._signature_of(content) + content).decode()

    def verify(self, signed: str) -> bytes | None:
        """Return the content that `sign` signed, or None if the text was altered or signed for another key."""
        try:
            # Clients that keep the signed text as bytes send it back in either of the two Base64 alphabets.
            raw = base64.b64decode(signed.translate(_URL_SAFE_TO_STANDARD), validate=True)
        except (binascii.Error, ValueError):
            return None
        signature, content = raw[:_SIGNATURE_BYTES], raw[_SIGNATURE_BYTES:]
        return content if hmac.compare_digest(signature, self._signature_of(content)) else None

    def _signature_of(self, content: bytes) -> bytes:
        return hmac.digest(self._key, content, _HASH_NAME)
