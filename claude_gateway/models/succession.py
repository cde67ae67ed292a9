"""What answers to the name of a model that is no more. Pure.

As Claude Code itself says (2.1.330 has the list of what was retired, when, and the family whose current model takes
over); Anthropic's own library has the same dates. They are those of Anthropic's API: with another provider a model may
go on for longer. So no date here decides anything; a refusal of the upstream does.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from claude_gateway.models.spelling import read


@dataclass(frozen=True, slots=True)
class Succession:
    """`heir` is a model, or a word of the catalogue's for one. `why` is for the caller."""

    heir: str
    why: str


def _retired(on: str, heir: str, *names: str) -> Iterator[tuple[str, Succession]]:
    for name in names:
        yield name, Succession(heir, f"Anthropic retired it on {on}")


SUCCESSIONS: Mapping[str, Succession] = {
    # The guide that this gateway began with calls it so.
    "claude-opus-4-5-20250929": Succession("claude-opus-4-5-20251101", "Anthropic calls it by another date"),
    **dict(_retired("2026-11-30", "sonnet", "claude-sonnet-4-5", "claude-sonnet-4-5-20250929")),
    **dict(_retired("2026-08-05", "opus", "claude-opus-4-1", "claude-opus-4-1-20250805")),
    **dict(_retired("2026-06-15", "opus", "claude-opus-4-0", "claude-opus-4-20250514")),
    **dict(_retired("2026-06-15", "sonnet", "claude-sonnet-4-0", "claude-sonnet-4-20250514")),
    **dict(_retired("2026-04-20", "haiku", "claude-3-haiku-20240307")),
    **dict(_retired("2026-02-19", "sonnet", "claude-3-7-sonnet-latest", "claude-3-7-sonnet-20250219")),
    **dict(_retired("2026-02-19", "haiku", "claude-3-5-haiku-latest", "claude-3-5-haiku-20241022")),
    **dict(_retired("2026-01-05", "opus", "claude-3-opus-latest", "claude-3-opus-20240229")),
    **dict(_retired("2025-10-28", "sonnet", "claude-3-5-sonnet-latest", "claude-3-5-sonnet-20241022")),
    **dict(_retired("2025-10-28", "sonnet", "claude-3-5-sonnet-20240620")),
}


def succession_of(model: str) -> Succession | None:
    """By Anthropic's own name of the model, whatever its provider calls it. None for a model without an heir."""
    if model in SUCCESSIONS:
        return SUCCESSIONS[model]
    spelled = read(model)
    return SUCCESSIONS.get(replace(spelled, window="").name) if spelled else None
