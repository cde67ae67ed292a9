"""Summary of the stderr output of a process, without secrets, for the log. No I/O."""

import re

_MAX_SUMMARY_CHARS = 200
_HIDDEN = "[redacted]"
# API keys and tokens of Anthropic, AWS and Google, and JSON web tokens.
_TOKEN = re.compile(r"sk-ant-[\w-]+|\b(?:AKIA|ASIA)[A-Z0-9]{12,}|\bya29\.[\w.-]+|\beyJ[\w-]{8,}(?:\.[\w-]+)*")
# The word that follows the name of a secret or of an authorization scheme.
_NAMED_SECRET = re.compile(
    r"(?P<name>[\w-]*(?:key|token|secret|password|authorization)[\"']?\s*[=:]\s*(?:(?:bearer|basic)\s+)?|bearer\s+)\S+",
    re.IGNORECASE,
)
_ADDRESS_PASSWORD = re.compile(r"://[^/\s@]+@")
# When an upstream request fails, the body of the response quotes the request.
_JSON_BODY = re.compile(r"\{.*$")


def summarize_stderr(stderr: str) -> str:
    """Return the last line that is not blank. Secrets, request bodies and control characters are removed."""
    line = next((line for line in reversed(stderr.splitlines()) if line.strip()), "")
    summary = _NAMED_SECRET.sub(rf"\g<name>{_HIDDEN}", _TOKEN.sub(_HIDDEN, _JSON_BODY.sub("{…}", line)))
    summary = _ADDRESS_PASSWORD.sub(f"://{_HIDDEN}@", summary)
    printable = "".join(char if char.isprintable() else " " for char in summary)
    return printable.strip()[:_MAX_SUMMARY_CHARS]
