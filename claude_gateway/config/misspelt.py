"""Names in a file of settings that are no settings, and which setting each was probably meant to be. Pure."""

from collections.abc import Iterable
from difflib import get_close_matches

# `API_KYE` is that near to `API_KEY`, by the share of letters that stand in the same order.
_NEAR_IN_A_FILE = 0.75
# In the environment stand the names of all other programs.
_NEAR_IN_THE_ENVIRONMENT = 0.85
_MIN_LENGTH_IN_THE_ENVIRONMENT = 6


def nearest_setting(name: str, settings: Iterable[str]) -> str | None:
    """The setting that a line of `.env` with this name was probably meant for; None for a name unlike any."""
    return next(iter(get_close_matches(name.upper(), settings, 1, _NEAR_IN_A_FILE)), None)


def misspelt_variable(name: str, settings: Iterable[str]) -> str | None:
    """The same for a variable of the environment, which must be much nearer."""
    if len(name) < _MIN_LENGTH_IN_THE_ENVIRONMENT or name != name.upper():
        return None
    return next(iter(get_close_matches(name, settings, 1, _NEAR_IN_THE_ENVIRONMENT)), None)
