"""Claude's thoughts as the one opaque string in which another dialect carries them, and back. Pure.

Programs send back what they were given, here or by another provider. Only what bears our mark and reads as we wrote it
becomes a thought again; nothing else reaches the upstream, which would refuse it. The mark is no proof of origin and
need not be: the upstream verifies each signature by itself.
"""

import base64
import binascii
from collections.abc import Iterable
from typing import Any

import orjson

from workers.job import RedactedThought, Thought

_MARK = b"claude-thoughts-1:"
_URL_SAFE = str.maketrans("-_", "+/")


def seal(thoughts: Iterable[Thought | RedactedThought]) -> str:
    """Base64, which survives programs that hold it as bytes."""
    content = [_written(thought) for thought in thoughts]
    return base64.b64encode(_MARK + orjson.dumps(content)).decode()


def unseal(text: str) -> tuple[Thought | RedactedThought, ...]:
    """The thoughts of a string that `seal` made, in either alphabet of base64; none of any other string."""
    try:
        raw = base64.b64decode(text.translate(_URL_SAFE), validate=True)
        content = orjson.loads(raw.removeprefix(_MARK)) if raw.startswith(_MARK) else []
    except (binascii.Error, ValueError):
        return ()
    found = [_read(one) for one in content] if isinstance(content, list) else []
    return tuple(thought for thought in found if thought is not None)


def _written(thought: Thought | RedactedThought) -> list[str]:
    match thought:
        case Thought(thinking, signature):
            return [thinking, signature]
        case RedactedThought(data):
            return [data]


def _read(one: Any) -> Thought | RedactedThought | None:
    match one:
        case [str(thinking), str(signature)] if signature:
            return Thought(thinking, signature)
        case [str(data)] if data:
            return RedactedThought(data)
    return None
