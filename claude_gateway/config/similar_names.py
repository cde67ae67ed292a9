"""Finds settings whose names the operator may have misspelled. No I/O."""

from collections.abc import Iterable
from difflib import get_close_matches

# Lowest ratio of matching letters (as difflib computes it) at which a name counts as a misspelling. The ratio is 0.86
# for `API_KYE` and `API_KEY`. It is 0.84 for `ANTHROPIC_BASE_URL` and Claude Code's own variable
# ANTHROPIC_VERTEX_BASE_URL.
_MISSPELLED_RATIO = 0.85
_SIMILAR_RATIO = 0.7
# Shortest environment variable that can count as a misspelling. The environment also contains variables of other
# programs, and short names can resemble a setting by chance.
_MIN_VARIABLE_CHARS = 6


def find_misspelled_setting(name: str, known_names: Iterable[str]) -> str | None:
    """Return the setting whose name is almost equal to an unknown name; None if there is no such setting.

    A less similar name may belong to another program.
    """
    return _closest_name(name, known_names, _MISSPELLED_RATIO)


def find_similar_setting(name: str, known_names: Iterable[str]) -> str | None:
    """Return the setting whose name is similar to an unknown name; None if no setting has a similar name."""
    return _closest_name(name, known_names, _SIMILAR_RATIO)


def find_misspelled_variable(name: str, known_names: Iterable[str]) -> str | None:
    """Return the setting whose name is almost equal to that of a variable; None if there is no such setting.

    For a short name, and for a name with lower-case letters, the function always returns None.
    """
    if len(name) < _MIN_VARIABLE_CHARS or name != name.upper():
        return None
    return find_misspelled_setting(name, known_names)


def _closest_name(name: str, known_names: Iterable[str], min_ratio: float) -> str | None:
    return next(iter(get_close_matches(name.upper(), known_names, 1, min_ratio)), None)
