from collections.abc import Callable

import orjson
import pytest

from workers.errors import ErrorKind, WorkerError
from workers.upstream_words import is_quoted, quote, upstream_message


def body(message: str) -> str:
    return orjson.dumps({"type": "error", "error": {"type": "invalid_request_error", "message": message}}).decode()


def line(status: int, said: str) -> str:
    return f"2026-11-30T10:17:26.143Z [ERROR] Error in API request: {status} {said}\n"


def attempt(status: int, said: str) -> str:
    return f"2026-11-30T10:17:26.139Z [ERROR] API error (attempt 1/2): {status} {status} {said}\n"


@pytest.mark.parametrize(
    "message",
    [
        "prompt is too long: 215000 tokens > 200000 maximum",
        'two\nlines, "quotes", ü and \u2028',
        "messages.0.content.1.image.source.base64: image exceeds 5 MB maximum: 6000000 bytes > 5242880 bytes",
    ],
)
@pytest.mark.parametrize("write", [line, attempt])
def test_reads_the_message_whole(message: str, write: Callable[[int, str], str]) -> None:
    assert upstream_message(write(400, body(message))) == message


def test_reads_the_newest_message() -> None:
    assert upstream_message(attempt(529, body("Overloaded")) + line(400, body("newest")) + "more\n") == "newest"


def test_reads_a_body_that_has_the_message_at_its_top() -> None:
    assert upstream_message(line(400, '{"message":"Input is too long for requested model."}')) == (
        "Input is too long for requested model."
    )


@pytest.mark.parametrize(
    "stderr",
    [
        "",
        "out of memory\n",
        line(400, "<html>no JSON</html>"),
        line(400, body("cut off")[:-5]),
        line(400, '{"error":"a string"}'),
        line(400, "{}"),
        # The CLI takes this for a secret; its frames have the words whole.
        line(400, body("max_tokens: [REDACTED] > 64000")),
        "2026-11-30T10:17:26.143Z [DEBUG] Error in API request: 400 " + body("of another level"),
    ],
)
def test_finds_no_message_where_there_is_none_or_not_the_whole(stderr: str) -> None:
    assert upstream_message(stderr) == ""


@pytest.mark.parametrize("kind", ErrorKind)
def test_quotes_only_what_speaks_of_the_request(kind: ErrorKind) -> None:
    quoted = kind in (ErrorKind.INVALID_REQUEST, ErrorKind.TOO_LONG, ErrorKind.TOO_LARGE)
    assert is_quoted(WorkerError(kind, "the CLI's words")) is quoted


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("prompt is too long: 9 tokens > 8 maximum", "prompt is too long: 9 tokens > 8 maximum"),
        (
            "input length and `max_tokens` exceed context limit: 7 + 2 > 8, decrease input length",
            "input length and `max_tokens` exceed context limit: 7 + 2 > 8, decrease input length",
        ),
        ("Input is too long for requested model.", "prompt is too long: Input is too long for requested model."),
    ],
)
def test_names_a_conversation_too_long_in_the_words_of_the_messages_api(said: str, told: str) -> None:
    error = quote(WorkerError(ErrorKind.TOO_LONG, "prompt is too long", detail="for the log"), said)

    assert (error.kind, error.message, error.detail) == (ErrorKind.TOO_LONG, told, "for the log")


def test_quotes_any_other_message_unchanged() -> None:
    assert quote(WorkerError(ErrorKind.INVALID_REQUEST, "Image was too large."), "image exceeds").message == (
        "image exceeds"
    )


def test_a_message_of_several_lines_is_one_line_of_the_log() -> None:
    error = quote(WorkerError(ErrorKind.INVALID_REQUEST, "x"), "no\n2026-01-01 INFO a line of its own\u2028\r\n")

    assert len(str(error).splitlines()) == 1
    assert error.message.count("\n") == 2
