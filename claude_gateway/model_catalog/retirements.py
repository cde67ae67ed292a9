"""Retired models and their replacements. No I/O.

The source is a list of retired models in Claude Code 2.1.330. For each model, the list contains the retirement date and
a model family. The replacement is the current model of this family. Anthropic's client library contains the same dates.
The dates apply to the Anthropic API, and other providers may offer a model for longer. Therefore the gateway uses a
replacement only after the upstream has rejected the model, and never because of a date.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from claude_gateway.model_catalog.similar_names import parse_model_name


@dataclass(frozen=True, slots=True)
class Retirement:
    """The replacement of a retired model.

    Attributes:
        replacement: Id of the replacement, or a short name that the catalog resolves, such as `sonnet`.
        reason: Text that explains the replacement to the client.
    """

    replacement: str
    reason: str


def _retirements(date: str, replacement: str, *names: str) -> Iterator[tuple[str, Retirement]]:
    for name in names:
        yield name, Retirement(replacement, f"Anthropic retired it on {date}")


RETIREMENTS: Mapping[str, Retirement] = {
    # This model does not exist, but a widely read guide contains this name with the wrong date.
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
    """Return the replacement of a retired model, or None if no replacement is known.

    `model` is the name that the model has at Anthropic, Bedrock or Vertex.
    """
    if model in RETIREMENTS:
        return RETIREMENTS[model]
    parsed_name = parse_model_name(model)
    return RETIREMENTS.get(replace(parsed_name, context_window_suffix="").name) if parsed_name else None
