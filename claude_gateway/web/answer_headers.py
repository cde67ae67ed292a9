"""The headers that an answer carries whatever its dialect."""

from collections.abc import Sequence

WARNINGS = "x-gateway-warnings"
_LONGEST_WARNINGS = 2_000


def answer_headers(model: str, warnings: Sequence[str]) -> dict[str, str]:
    """Which model answers, and what was not honoured."""
    headers = {"x-claude-model": model}
    if warnings:
        # Names in it are the caller's own: nothing but printable ASCII may reach a header.
        line = "; ".join(warnings)[:_LONGEST_WARNINGS]
        headers[WARNINGS] = "".join(c if " " <= c <= "~" else "?" for c in line)
    return headers
