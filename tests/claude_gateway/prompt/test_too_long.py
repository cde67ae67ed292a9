"""What programs look for where a conversation is too long, in the patterns of the programs themselves."""

import re
from collections.abc import Callable

import pytest

from claude_gateway.errors import ApiError, from_worker
from claude_gateway.prompt.too_long import in_gemini_words, in_openai_words
from workers.errors import ErrorKind, WorkerError

NUMBERS = "prompt is too long: 215000 tokens > 200000 maximum"
WITH_OUTPUT = (
    "input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000, decrease input length or "
    "`max_tokens` and try again"
)
BARE = "prompt is too long"
OTHER = "prompt is too long: Input is too long for requested model."
# Each program takes one of its own for the sign.
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


def error(message: str) -> ApiError:
    return from_worker(WorkerError(ErrorKind.TOO_LONG, message))


@pytest.mark.parametrize("message", [NUMBERS, WITH_OUTPUT, BARE, OTHER])
@pytest.mark.parametrize("program", OPENAI)
def test_programs_of_openai_s_dialects_know_it(program: str, message: str) -> None:
    assert re.search(OPENAI[program], in_openai_words(error(message)))


@pytest.mark.parametrize("message", [NUMBERS, WITH_OUTPUT, BARE, OTHER])
@pytest.mark.parametrize("program", GEMINI)
def test_programs_of_google_s_dialect_know_it(program: str, message: str) -> None:
    assert re.search(GEMINI[program], in_gemini_words(error(message)))


@pytest.mark.parametrize("say", [in_openai_words, in_gemini_words])
def test_keeps_the_upstream_s_words_and_numbers(say: Callable[[ApiError], str]) -> None:
    for message in (NUMBERS, WITH_OUTPUT, BARE, OTHER):
        assert message in say(error(message))
    assert "200000" in say(error(NUMBERS)).replace(NUMBERS, "")
    assert "215000" in say(error(NUMBERS)).replace(NUMBERS, "")
    assert "209573" in say(error(WITH_OUTPUT))


@pytest.mark.parametrize("say", [in_openai_words, in_gemini_words])
def test_leaves_every_other_error_as_it_is(say: Callable[[ApiError], str]) -> None:
    assert say(ApiError(400, "invalid_request_error", NUMBERS, code="invalid_request")) == NUMBERS
