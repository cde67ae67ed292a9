"""A rule of the language, and an exemption from it."""

import re
from dataclasses import dataclass

from tests.prose.texts import Kind


@dataclass(frozen=True)
class Rule:
    """A form that is refused.

    Attributes:
        pattern: What is refused, as a regular expression. Case does not matter.
        reason: Why it is refused.
        suggestion: What to write instead.
        bad: Texts in which the rule must find something. Tests use them.
        good: Texts in which it must find nothing.
        exceptions: Phrases in which the pattern is accepted, as a regular expression.
        kinds: The texts that the rule reads.
        is_case_sensitive: Case does matter.
    """

    pattern: str
    reason: str
    suggestion: str
    bad: tuple[str, ...]
    good: tuple[str, ...] = ()
    exceptions: str = ""
    kinds: frozenset[Kind] = frozenset(Kind)
    is_case_sensitive: bool = False

    def find(self, text: str) -> list[tuple[int, str]]:
        """Return the position and the words of every hit in a text."""
        flags = 0 if self.is_case_sensitive else re.IGNORECASE
        accepted = [match.span() for match in re.finditer(self.exceptions, text, flags)] if self.exceptions else []
        return [
            (_skip_space(match), " ".join(match.group().split()))
            for match in re.finditer(self.pattern, text, flags)
            if not any(start <= _skip_space(match) < end for start, end in accepted)
        ]


@dataclass(frozen=True)
class Exemption:
    """A hit that is accepted.

    Attributes:
        path: The file, from the root of the project.
        words: A part of the line of the hit.
        reason: Why it is accepted.
    """

    path: str
    words: str
    reason: str


def _skip_space(match: re.Match[str]) -> int:
    """Return the position of the first word, not of the space before it."""
    return match.start() + len(match.group()) - len(match.group().lstrip(' \n\t(*_"“'))
