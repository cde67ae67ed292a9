"""Names that are no settings, and which setting each was probably meant to be. Pure."""

from collections.abc import Iterable
from difflib import get_close_matches

# By the share of letters that stand in the same order: `API_KYE` is at 0.86 from `API_KEY`, and Claude Code's own
# ANTHROPIC_VERTEX_BASE_URL at 0.84 from `ANTHROPIC_BASE_URL`.
_MISSPELT = 0.85
_SIMILAR = 0.7
# In the environment stand the names of all other programs.
_MIN_LENGTH_IN_THE_ENVIRONMENT = 6


def misspelt(name: str, settings: Iterable[str]) -> str | None:
    """The setting that was surely meant; None for a name that may be another program's."""
    return _nearest(name, settings, _MISSPELT)


def similar(name: str, settings: Iterable[str]) -> str | None:
    """The setting that may have been meant."""
    return _nearest(name, settings, _SIMILAR)


def misspelt_variable(name: str, settings: Iterable[str]) -> str | None:
    """As `misspelt`, of a variable of the environment."""
    if len(name) < _MIN_LENGTH_IN_THE_ENVIRONMENT or name != name.upper():
        return None
    return misspelt(name, settings)


def _nearest(name: str, settings: Iterable[str], likeness: float) -> str | None:
    return next(iter(get_close_matches(name.upper(), settings, 1, likeness)), None)
