"""Redaction of secrets in the log."""

import pytest

from claude_gateway.auth.key_format import new_key_id, new_secret
from claude_gateway.observability.log.redaction import redact_secrets

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
def test_redacts_fields_named_as_secrets(line: str) -> None:
    assert SECRET not in redact_secrets(line)
    assert "[redacted]" in redact_secrets(line)


@pytest.mark.parametrize(
    "secret",
    [new_secret(new_key_id()), "sk-ant-api03-abcdefghijk", "sk-proj-0123456789", "AIza" + "x" * 30],
    # Explicit ids, because the generated secret is different in every test process.
    ids=["gateway", "anthropic", "openai", "google"],
)
def test_redacts_keys_anywhere_in_a_text(secret: str) -> None:
    assert redact_secrets(f"it said {secret}: no") == "it said [redacted]: no"


@pytest.mark.parametrize(
    "line",
    [
        "POST /v1/chat/completions 200 12 ms req-1 key_id=environment model=claude-sonnet-4-5-20250929",
        "worker 12 ended with status -9",
        "input=3 output=2 max_tokens=5 tokens: 12 key_id=0123456789ab",
    ],
)
def test_leaves_ordinary_lines_unchanged(line: str) -> None:
    assert redact_secrets(line) == line
