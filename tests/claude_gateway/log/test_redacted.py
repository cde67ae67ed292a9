"""No secret gets into the log, whoever brought it in."""

import pytest

from claude_gateway.access.secret import new_id, new_secret
from claude_gateway.log.redacted import redacted

SECRET = "s3cr3t-0f-somebody"


@pytest.mark.parametrize(
    "line",
    [
        f"GET /v1beta/models?key={SECRET}&alt=sse HTTP/1.1",
        f"headers: {{'Authorization': 'Bearer {SECRET}', 'Host': 'x'}}",
        f"Authorization: Basic {SECRET}",
        f'{{"x-api-key":"{SECRET}","a":1}}',
        f"<CIMultiDict('x-goog-api-key': '{SECRET}')>",
        f"env {{'GITHUB_TOKEN': '{SECRET}', 'PATH': '/bin'}}",
        f"a failed call with bearer {SECRET}",
        f"ANTHROPIC_API_KEY={SECRET} claude",
        f"the password: {SECRET}",
    ],
)
def test_what_is_named_as_a_secret_is_taken_out(line: str) -> None:
    assert SECRET not in redacted(line)
    assert "[redacted]" in redacted(line)


@pytest.mark.parametrize(
    "secret", [new_secret(new_id()), "sk-ant-api03-abcdefghijk", "sk-proj-0123456789", "AIza" + "x" * 30]
)
def test_what_looks_like_a_key_is_taken_out_wherever_it_stands(secret: str) -> None:
    assert redacted(f"it said {secret}: no") == "it said [redacted]: no"


@pytest.mark.parametrize(
    "line",
    [
        "POST /v1/chat/completions 200 12 ms req-1 key_id=environment model=claude-sonnet-4-5-20250929",
        "worker 12 ended with status -9",
        "input=3 output=2 max_tokens=5 tokens: 12 key_id=0123456789ab",
    ],
)
def test_the_lines_of_every_day_stay_as_they_are(line: str) -> None:
    assert redacted(line) == line
