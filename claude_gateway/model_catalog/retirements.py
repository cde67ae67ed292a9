"""Retired models and their replacements. No I/O.

Source: Claude Code 2.1.330 contains a list of retired models. For each model, the list has the date and the family
whose current model is the replacement. Anthropic's client library has the same dates. These are the dates of the
Anthropic API; other providers may keep a model for longer. Therefore the gateway uses a replacement only after the
upstream rejected the model, and never because of a date.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from claude_gateway.model_catalog.similar_names import parse_model_name


@dataclass(frozen=True, slots=True)
class Retirement:
    """The replacement of a retired model.

    Attributes:
        replacement: Model id, or a short name of the catalog.
        reason: Reason for the replacement, as a text for the client.
    """

    replacement: str
    reason: str


def _retirements(date: str, replacement: str, *names: str) -> Iterator[tuple[str, Retirement]]:
    for name in names:
        yield name, Retirement(replacement, f"Anthropic retired it on {date}")


RETIREMENTS: Mapping[str, Retirement] = {
    # A common guide names the model with this wrong date.
    "claude-opus-4-5-20250929": Retirement("claude-opus-4-5-20251101", "the name at Anthropic has another date"),
    **dict(_retirements("2026-11-30", "sonnet", "claude-sonnet-4-5", "claude-sonnet-4-5-20250929")),
    **dict(_retirements("2026-08-05", "opus", "claude-opus-4-1", "claude-opus-4-1-20250805")),
    **dict(_retirements("2026-06-15", "opus", "claude-opus-4-0", "claude-opus-4-20250514")),
    **dict(_retirements("2026-06-15", "sonnet", "claude-sonnet-4-0", "claude-sonnet-4-20250514")),
    **dict(_retirements("2026-04-20", "haiku", "claude-3-haiku-20240307")),
    **dict(_retirements("2026-02-19", "sonnet", "claude-3-7-sonnet-latest", "claude-3-7-sonnet-20250219")),
    **dict(_retirements("2026-02-19", "haiku", "claude-3-5-haiku-latest", "claude-3-5-haiku-20241022")),
    **dict(_retirements("2026-01-05", "opus", "claude-3-opus-latest", "claude-3-opus-20240229")),
    **dict(_retirements("2025-10-28", "sonnet", "claude-3-5-sonnet-latest", "claude-3-5-sonnet-20241022")),
    **dict(_retirements("2025-10-28", "sonnet", "claude-3-5-sonnet-20240620")),
}


def find_retirement(model: str) -> Retirement | None:
    """Return the retirement of a model by its Anthropic, Bedrock or Vertex name; None if it has no replacement."""
    if model in RETIREMENTS:
        return RETIREMENTS[model]
    parsed_name = parse_model_name(model)
    return RETIREMENTS.get(replace(parsed_name, context_window_suffix="").name) if parsed_name else None
