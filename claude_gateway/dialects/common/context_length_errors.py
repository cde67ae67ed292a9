"""Format the error messages about conversations that are too long, in the wording of OpenAI and of Google. No I/O.

Client programs search these messages for certain phrases, so the gateway uses the phrases of the original APIs. Clients
of OpenAI's APIs (LiteLLM, aider, OpenCode, Cline, LangChain) search for the error code, and for "maximum context length
is N tokens", "exceeds the context window" or "reduce the length of the messages". Clients of Google's API (LiteLLM,
LangChain, OpenCode) search for "exceeds the maximum number of tokens allowed".
"""

import re
from typing import NamedTuple

from claude_gateway.core.errors import ApiError

CONTEXT_LENGTH_CODE = "context_length_exceeded"
# Patterns for two error messages of the Messages API. The API sends the first one if the messages alone are too long,
# and the second one if the messages and the requested output together are too long.
_MESSAGES_TOO_LONG = re.compile(r"prompt is too long\D*(\d+) tokens? > (\d+)", re.IGNORECASE)
_MESSAGES_AND_OUTPUT_TOO_LONG = re.compile(r"exceed context limit\D*(\d+) \+ (\d+) > (\d+)")


class _TokenCounts(NamedTuple):
    """Token counts that the upstream states in its error message about a conversation that is too long.

    Attributes:
        messages: Number of tokens in the messages.
        output: Number of output tokens that the client requested; 0 if the messages alone are too long.
        limit: Number of tokens that the model allows.
    """

    messages: int
    output: int
    limit: int


def format_openai_message(error: ApiError) -> str:
    """Return an error message for clients of OpenAI's APIs.

    If the conversation is too long, the message has the wording of OpenAI. Other messages stay unchanged.
    """
    if error.code != CONTEXT_LENGTH_CODE:
        return error.message
    counts = _parse_token_counts(error.message)
    if counts is None:
        sentence = "This model's maximum context length is exceeded. Please reduce the length of the messages."
    elif counts.output:
        sentence = (
            f"This model's maximum context length is {counts.limit} tokens. However, you requested "
            f"{counts.messages + counts.output} tokens ({counts.messages} in the messages, {counts.output} in the "
            "completion). Please reduce the length of the messages or completion."
        )
    else:
        sentence = (
            f"This model's maximum context length is {counts.limit} tokens. However, your messages resulted in "
            f"{counts.messages} tokens. Please reduce the length of the messages."
        )
    return f"Your input exceeds the context window of this model. {sentence} ({error.message})"


def format_gemini_message(error: ApiError) -> str:
    """Return an error message for clients of Google's API.

    If the conversation is too long, the message has the wording of Google. Other messages stay unchanged.
    """
    if error.code != CONTEXT_LENGTH_CODE:
        return error.message
    counts = _parse_token_counts(error.message)
    if counts is None:
        sentence = "The input token count exceeds the maximum number of tokens allowed."
    else:
        count = counts.messages + counts.output
        sentence = f"The input token count ({count}) exceeds the maximum number of tokens allowed ({counts.limit})."
    return f"{sentence} ({error.message})"


def _parse_token_counts(message: str) -> _TokenCounts | None:
    if match := _MESSAGES_TOO_LONG.search(message):
        return _TokenCounts(int(match[1]), 0, int(match[2]))
    if match := _MESSAGES_AND_OUTPUT_TOO_LONG.search(message):
        return _TokenCounts(int(match[1]), int(match[2]), int(match[3]))
    return None
