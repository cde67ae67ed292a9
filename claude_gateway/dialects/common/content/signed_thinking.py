"""Convert thinking blocks to one signed string and back. No I/O.

In dialects other than the Messages API, a response has a field for thinking, and clients must send the value of this
field back unchanged. The gateway writes the signed string into this field. The string contains the texts and the
signatures of the blocks, and a signature of this gateway. Clients may also send strings that they received from another
provider. The gateway ignores every string that it did not sign for the API key of the client, because the upstream
would reject the blocks.
"""

from collections.abc import Iterable
from typing import Protocol

import orjson

from workers.core.job import RedactedThinkingBlock, ThinkingBlock


class ThinkingSigner(Protocol):
    """Signs and verifies bytes for one API key."""

    def sign(self, content: bytes) -> str:
        """Return one string that contains the content and its signature."""
        ...

    def verify(self, signed: str) -> bytes | None:
        """Return the content of a string that `sign` returned earlier, or None if the signature is not valid."""
        ...


def sign_thinking(blocks: Iterable[ThinkingBlock | RedactedThinkingBlock], signer: ThinkingSigner) -> str:
    """Convert thinking blocks to one signed string."""
    return signer.sign(orjson.dumps([_block_to_list(block) for block in blocks]))


def verify_thinking(signed: str, signer: ThinkingSigner) -> tuple[ThinkingBlock | RedactedThinkingBlock, ...]:
    """Return the thinking blocks in a signed string, or an empty tuple if the signature is not valid."""
    content = signer.verify(signed)
    return tuple(_block_from_list(*fields) for fields in orjson.loads(content)) if content is not None else ()


def _block_to_list(block: ThinkingBlock | RedactedThinkingBlock) -> list[str]:
    match block:
        case ThinkingBlock(thinking, signature):
            return [thinking, signature]
        case RedactedThinkingBlock(data):
            return [data]


def _block_from_list(text: str, signature: str | None = None) -> ThinkingBlock | RedactedThinkingBlock:
    return RedactedThinkingBlock(text) if signature is None else ThinkingBlock(text, signature)
