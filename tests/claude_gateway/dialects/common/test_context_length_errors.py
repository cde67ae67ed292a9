"""Errors for conversations that are too long, matched against the patterns of clients."""

import re
from collections.abc import Callable

import pytest

from claude_gateway.core.errors import ApiError, from_worker_error
from claude_gateway.dialects.common.context_length_errors import format_gemini_message, format_openai_message
from workers.core.errors import ErrorKind, WorkerError

NUMBERS = "prompt is too long: 215000 tokens > 200000 maximum"
WITH_OUTPUT = (
    "input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000, decrease input length or "
    "`max_tokens` and try again"
)
WITHOUT_NUMBERS = "prompt is too long"
OTHER = "prompt is too long: Input is too long for requested model."
# Text that each client looks for.
OPENAI = {
    "LiteLLM, aider": r"(?i)this model's maximum context length is",
    "OpenCode": r"(?i)reduce the length of the messages|maximum context length is \d+ tokens",
    "Cline": r"(?i)\bmaximum\s*context\b",
    "LangChain": r"prompt is too long|exceed context limit",
    "LangChain, in a stream": r"exceeds the context window",
}
GEMINI = {
    "LiteLLM, LangChain": r"exceeds the maximum number of tokens allowed",
    "OpenCode": r"(?i)input token count.*exceeds the maximum",
}


def create_error(message: str) -> ApiError:
    return from_worker_error(WorkerError(ErrorKind.CONTEXT_LENGTH_EXCEEDED, message))


@pytest.mark.parametrize("message", [NUMBERS, WITH_OUTPUT, WITHOUT_NUMBERS, OTHER])
@pytest.mark.parametrize("client", OPENAI)
def test_openai_clients_recognize_context_length_error(client: str, message: str) -> None:
    assert re.search(OPENAI[client], format_openai_message(create_error(message)))


@pytest.mark.parametrize("message", [NUMBERS, WITH_OUTPUT, WITHOUT_NUMBERS, OTHER])
@pytest.mark.parametrize("client", GEMINI)
def test_gemini_clients_recognize_context_length_error(client: str, message: str) -> None:
    assert re.search(GEMINI[client], format_gemini_message(create_error(message)))


@pytest.mark.parametrize("format_message", [format_openai_message, format_gemini_message])
def test_keeps_upstream_text_and_numbers(format_message: Callable[[ApiError], str]) -> None:
    for message in (NUMBERS, WITH_OUTPUT, WITHOUT_NUMBERS, OTHER):
        assert message in format_message(create_error(message))
    assert "200000" in format_message(create_error(NUMBERS)).replace(NUMBERS, "")
    assert "215000" in format_message(create_error(NUMBERS)).replace(NUMBERS, "")
    assert "209573" in format_message(create_error(WITH_OUTPUT))


@pytest.mark.parametrize("format_message", [format_openai_message, format_gemini_message])
def test_leaves_other_errors_unchanged(format_message: Callable[[ApiError], str]) -> None:
    assert format_message(ApiError(400, "invalid_request_error", NUMBERS, code="invalid_request")) == NUMBERS
