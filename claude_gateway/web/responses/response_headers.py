"""Response headers that are the same in all dialects."""

from collections.abc import Sequence

LOGIN_HEADER = "x-gateway-login"
WARNINGS_HEADER = "x-gateway-warnings"
_MAX_WARNINGS_CHARS = 2_000


def build_response_headers(model: str, warnings: Sequence[str]) -> dict[str, str]:
    """Return the headers that name the model of the reply and list the warnings for the client."""
    headers = {"x-claude-model": model}
    if warnings:
        # A header may only contain printable ASCII, but a warning may contain names that the client chose.
        text = "; ".join(warnings)[:_MAX_WARNINGS_CHARS]
        headers[WARNINGS_HEADER] = "".join(c if " " <= c <= "~" else "?" for c in text)
    return headers
