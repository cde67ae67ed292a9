"""Functions that create and verify the signatures of thinking blocks, as the real API does. Does no I/O."""

import hmac
from base64 import b64decode, b64encode
from typing import Any

_SIGNING_KEY = b"signing key of the fake Anthropic API; it protects nothing"
_MAC_BYTES = 24


def compute_thinking_signature(thinking: str) -> str:
    """Return the signature for a thinking block with the text `thinking`.

    The first half of the signature signs the text. The second half signs the first half. So the fake API can also
    verify the signature of a block that a client sends back without the text.
    """
    mac = _mac(thinking.encode(errors="surrogatepass"))
    return b64encode(mac + _mac(mac)).decode()


def has_valid_signature(block: dict[str, Any]) -> bool:
    """Return whether the signature of a thinking block is valid for the text of the block.

    If the text is empty, return whether the fake API has created the signature for any text. Clients that request
    `thinking.display: "omitted"` receive thinking blocks with an empty text, and send these blocks back.
    """
    thinking, signature = block.get("thinking", ""), block.get("signature", "")
    if thinking:
        return hmac.compare_digest(
            str(signature).encode(errors="replace"), compute_thinking_signature(thinking).encode()
        )
    try:
        raw = b64decode(signature, validate=True)
    except ValueError:
        return False
    return len(raw) == 2 * _MAC_BYTES and hmac.compare_digest(raw[_MAC_BYTES:], _mac(raw[:_MAC_BYTES]))


def _mac(data: bytes) -> bytes:
    return hmac.digest(_SIGNING_KEY, data, "sha256")[:_MAC_BYTES]
