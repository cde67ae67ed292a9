"""Signatures of thinking blocks, as the real API makes and checks them. Pure."""

import hmac
from base64 import b64decode, b64encode
from typing import Any

_KEY = b"the stand-in signs with this; it protects nothing"
_MAC_BYTES = 24


def sign(thinking: str) -> str:
    """The signature of a thought: it belongs to this text alone.

    Its second half signs the first, so that a thought sent back without its text can be checked too.
    """
    mac = _mac(thinking.encode(errors="surrogatepass"))
    return b64encode(mac + _mac(mac)).decode()


def is_signed(block: dict[str, Any]) -> bool:
    """Whether the signature of a thinking block is that of its text.

    A request with `thinking.display: "omitted"` gets and sends back thoughts whose text is empty.
    """
    thinking, signature = block.get("thinking", ""), block.get("signature", "")
    if thinking:
        return hmac.compare_digest(str(signature).encode(errors="replace"), sign(thinking).encode())
    try:
        raw = b64decode(signature, validate=True)
    except ValueError:
        return False
    return len(raw) == 2 * _MAC_BYTES and hmac.compare_digest(raw[_MAC_BYTES:], _mac(raw[:_MAC_BYTES]))


def _mac(data: bytes) -> bytes:
    return hmac.digest(_KEY, data, "sha256")[:_MAC_BYTES]
