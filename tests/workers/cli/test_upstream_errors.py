from collections.abc import Callable

import orjson
import pytest

from workers.cli.upstream_errors import parse_upstream_message, quote_upstream_message, should_quote
from workers.core.errors import ErrorKind, WorkerError


def body(message: str) -> str:
    return orjson.dumps({"type": "error", "error": {"type": "invalid_request_error", "message": message}}).decode()


def line(status: int, response_body: str) -> str:
    return f"2026-11-30T10:17:26.143Z [ERROR] Error in API request: {status} {response_body}\n"


def attempt(status: int, response_body: str) -> str:
    return f"2026-11-30T10:17:26.139Z [ERROR] API error (attempt 1/2): {status} {status} {response_body}\n"


@pytest.mark.parametrize(
    "message",
    [
        "prompt is too long: 215000 tokens > 200000 maximum",
        'two\nlines, "quotes", ü and \u2028',
        "messages.0.content.1.image.source.base64: image exceeds 5 MB maximum: 6000000 bytes > 5242880 bytes",
    ],
)
@pytest.mark.parametrize("write", [line, attempt])
def test_returns_the_complete_message(message: str, write: Callable[[int, str], str]) -> None:
    assert parse_upstream_message(write(400, body(message))) == message


def test_returns_the_newest_message() -> None:
    assert parse_upstream_message(attempt(529, body("Overloaded")) + line(400, body("newest")) + "more\n") == "newest"


def test_reads_a_message_at_the_top_of_the_body() -> None:
    assert parse_upstream_message(line(400, '{"message":"Input is too long for requested model."}')) == (
        "Input is too long for requested model."
    )


@pytest.mark.parametrize(
    "stderr",
    [
        "",
        "out of memory\n",
        line(400, "<html>no JSON</html>"),
        line(400, body("truncated")[:-5]),
        line(400, '{"error":"a string"}'),
        line(400, "{}"),
        # The CLI redacts text that looks like a secret; its frames have the complete message.
        line(400, body("max_tokens: [REDACTED] > 64000")),
        "2026-11-30T10:17:26.143Z [DEBUG] Error in API request: 400 " + body("of another level"),
    ],
)
def test_returns_nothing_without_a_complete_message(stderr: str) -> None:
    assert parse_upstream_message(stderr) == ""


@pytest.mark.parametrize("kind", ErrorKind)
def test_quotes_only_messages_about_the_request(kind: ErrorKind) -> None:
    quoted = kind in (ErrorKind.INVALID_REQUEST, ErrorKind.CONTEXT_LENGTH_EXCEEDED, ErrorKind.REQUEST_TOO_LARGE)
    assert should_quote(WorkerError(kind, "the CLI's message")) is quoted


@pytest.mark.parametrize(
    ("upstream_message", "client_message"),
    [
        ("prompt is too long: 9 tokens > 8 maximum", "prompt is too long: 9 tokens > 8 maximum"),
        (
            "input length and `max_tokens` exceed context limit: 7 + 2 > 8, decrease input length",
            "input length and `max_tokens` exceed context limit: 7 + 2 > 8, decrease input length",
        ),
        ("Input is too long for requested model.", "prompt is too long: Input is too long for requested model."),
    ],
)
def test_reports_a_too_long_conversation_with_the_phrase_of_the_messages_api(
    upstream_message: str, client_message: str
) -> None:
    error = quote_upstream_message(
        WorkerError(ErrorKind.CONTEXT_LENGTH_EXCEEDED, "prompt is too long", detail="for the log"), upstream_message
    )

    assert (error.kind, error.message, error.detail) == (
        ErrorKind.CONTEXT_LENGTH_EXCEEDED,
        client_message,
        "for the log",
    )


def test_quotes_other_messages_unchanged() -> None:
    assert quote_upstream_message(
        WorkerError(ErrorKind.INVALID_REQUEST, "Image was too large."), "image exceeds"
    ).message == ("image exceeds")


def test_logs_a_message_of_several_lines_as_one_line() -> None:
    error = quote_upstream_message(
        WorkerError(ErrorKind.INVALID_REQUEST, "x"), "no\n2026-01-01 INFO a line of its own\u2028\r\n"
    )

    assert len(str(error).splitlines()) == 1
    assert error.message.count("\n") == 2
