"""Detection of conversations that begin with a summary of another conversation. No I/O.

Coding agents shorten a long conversation (`/compact`). They let the model write a summary, and then begin a new
conversation with it. They do not continue the long conversation any more, so the new one can have its process.
"""

from workers.core.job import Text, Turn

_MIN_REPLY_CHARS = 200
_SAMPLE_CHARS = 40
_SAMPLE_COUNT = 8
# The agent may leave out a part of the model's text, such as its analysis.
_MIN_FOUND_COUNT = 3
# A longer message is not a summary.
_MAX_MESSAGE_CHARS = 1_000_000


def begins_with_summary(first_turn: Turn, reply: Turn) -> bool:
    """Return whether the first user turn of a conversation contains large parts of a reply."""
    reply_text = _join_texts(reply)
    message = _join_texts(first_turn)
    if not _MIN_REPLY_CHARS <= len(reply_text) <= len(message) * 2 or len(message) > _MAX_MESSAGE_CHARS:
        return False
    step = (len(reply_text) - _SAMPLE_CHARS) / (_SAMPLE_COUNT - 1)
    offsets = [round(step * number) for number in range(_SAMPLE_COUNT)]
    found_count = sum(reply_text[offset : offset + _SAMPLE_CHARS] in message for offset in offsets)
    return found_count >= _MIN_FOUND_COUNT


def _join_texts(turn: Turn) -> str:
    return "\n".join(block.text for block in turn.blocks if isinstance(block, Text)).strip()
