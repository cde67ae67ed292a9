"""How each dialect's programs are told that a conversation is too long: they act on these words. Pure.

The words are those of the real APIs. OpenAI's programs look for `code` and for "maximum context length is N tokens",
"exceeds the context window" or "reduce the length of the messages" (LiteLLM, aider, OpenCode, Cline, LangChain);
Google's for "exceeds the maximum number of tokens allowed" (LiteLLM, LangChain, OpenCode).
"""

import re
from typing import NamedTuple

from claude_gateway.errors import ApiError

CODE = "context_length_exceeded"
# As the Messages API says it: of the messages alone, and of the messages with the output that was asked for.
_MESSAGES = re.compile(r"prompt is too long\D*(\d+) tokens? > (\d+)", re.IGNORECASE)
_WITH_OUTPUT = re.compile(r"exceed context limit\D*(\d+) \+ (\d+) > (\d+)")


class _Counts(NamedTuple):
    """In tokens; `output` is 0 where the messages alone are too long."""

    messages: int
    output: int
    limit: int


def in_openai_words(error: ApiError) -> str:
    """Return the error's message, in OpenAI's words where the conversation is too long."""
    if error.code != CODE:
        return error.message
    counts = _counts(error.message)
    if counts is None:
        told = "This model's maximum context length is exceeded. Please reduce the length of the messages."
    elif counts.output:
        told = (
            f"This model's maximum context length is {counts.limit} tokens. However, you requested "
            f"{counts.messages + counts.output} tokens ({counts.messages} in the messages, {counts.output} in the "
            "completion). Please reduce the length of the messages or completion."
        )
    else:
        told = (
            f"This model's maximum context length is {counts.limit} tokens. However, your messages resulted in "
            f"{counts.messages} tokens. Please reduce the length of the messages."
        )
    return f"Your input exceeds the context window of this model. {told} ({error.message})"


def in_gemini_words(error: ApiError) -> str:
    """Return the error's message, in Google's words where the conversation is too long."""
    if error.code != CODE:
        return error.message
    counts = _counts(error.message)
    if counts is None:
        told = "The input token count exceeds the maximum number of tokens allowed."
    else:
        count = counts.messages + counts.output
        told = f"The input token count ({count}) exceeds the maximum number of tokens allowed ({counts.limit})."
    return f"{told} ({error.message})"


def _counts(message: str) -> _Counts | None:
    if found := _MESSAGES.search(message):
        return _Counts(int(found[1]), 0, int(found[2]))
    if found := _WITH_OUTPUT.search(message):
        return _Counts(int(found[1]), int(found[2]), int(found[3]))
    return None
