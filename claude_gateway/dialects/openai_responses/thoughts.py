"""A thought as `encrypted_content`: what the caller keeps and sends back without reading it.

It holds the thought's text and signature, sealed by this gateway: whatever else a caller sends as encrypted content,
another provider's or an altered one, opens to nothing and never reaches the upstream, which would refuse it.
"""

from typing import Protocol

import orjson

from workers.job import RedactedThought, Thought


class Sealer(Protocol):
    """Marks bytes as this gateway's own for one caller."""

    def seal(self, content: bytes) -> str: ...

    def unseal(self, sealed: str) -> bytes | None:
        """What `seal` was given; None for anything else."""
        ...


def seal(thought: Thought | RedactedThought, sealer: Sealer) -> str:
    match thought:
        case Thought(thinking, signature):
            return sealer.seal(orjson.dumps([thinking, signature]))
        case RedactedThought(data):
            return sealer.seal(orjson.dumps([data]))


def unseal(encrypted_content: str, sealer: Sealer) -> Thought | RedactedThought | None:
    content = sealer.unseal(encrypted_content)
    match orjson.loads(content) if content is not None else None:
        case [str(thinking), str(signature)]:
            return Thought(thinking, signature)
        case [str(data)]:
            return RedactedThought(data)
    return None
