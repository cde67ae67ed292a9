"""Claude's thoughts as the one opaque string in which another dialect carries them, and back. Pure.

It holds their texts and signatures, sealed by this gateway. Programs send back what they were given, here or by another
provider: whatever was not sealed here for this very caller opens to nothing and never reaches the upstream, which would
refuse it.
"""

from collections.abc import Iterable
from typing import Protocol

import orjson

from workers.job import RedactedThought, Thought


class Sealer(Protocol):
    """Marks bytes as this gateway's own for one caller."""

    def seal(self, content: bytes) -> str: ...

    def unseal(self, sealed: str) -> bytes | None:
        """What `seal` was given; None for anything else."""
        ...


def seal(thoughts: Iterable[Thought | RedactedThought], sealer: Sealer) -> str:
    return sealer.seal(orjson.dumps([_written(thought) for thought in thoughts]))


def unseal(sealed: str, sealer: Sealer) -> tuple[Thought | RedactedThought, ...]:
    """None of them where it is nothing that `seal` made."""
    content = sealer.unseal(sealed)
    return tuple(_read(*one) for one in orjson.loads(content)) if content is not None else ()


def _written(thought: Thought | RedactedThought) -> list[str]:
    match thought:
        case Thought(thinking, signature):
            return [thinking, signature]
        case RedactedThought(data):
            return [data]


def _read(text: str, signature: str | None = None) -> Thought | RedactedThought:
    return RedactedThought(text) if signature is None else Thought(text, signature)
