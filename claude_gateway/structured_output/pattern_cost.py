r"""Estimate how large a regular expression becomes when an engine with linear run time compiles it. No I/O.

Such an engine expands repetitions. For example, it compiles `\w{100}` to a hundred copies of a character class with the
letters of all scripts. The engine needs much time and memory to compile a large pattern, and no other Python thread can
run during this time.
"""

import re
from dataclasses import dataclass

# Maximum cost of a pattern, in characters after the expansion of its repetitions. A pattern with this cost takes a
# tenth of a second to compile.
MAX_PATTERN_COST = 2_500
_CLASS_COST = 20
_ANY_CHAR_COST = 5
_INFINITE_COST = 10**9
_TOKEN = re.compile(
    r"\\[pP](?:\{[^}]*\}|.)|\\[wWdDsS]|\\[xuU]\{[^}]*\}|\\.|\(\?[a-zA-Z-]*\)|\((?:\?(?:P?<[^>]*>|[a-zA-Z-]*:))?|"
    r"\{\s*(\d*)\s*(,?)\s*(\d*)\s*\}|\[(?:\^|)\]?|.",
    re.DOTALL,
)
_CHAR_CLASS = re.compile(r"\\[pPwWdDsS]")
_CASE_INSENSITIVE_FLAG = re.compile(r"\(\?[a-zA-Z]*i")


@dataclass(slots=True)
class _PatternPart:
    """A group or character class in a pattern. The function has read its beginning, but not its end yet.

    Attributes:
        total_cost: Cost of all elements of the part so far.
        last_cost: Cost of the last element. A repetition after the element multiplies this cost.
    """

    total_cost: int = 0
    last_cost: int = 0

    def add(self, cost: int) -> None:
        """Add an element with this cost."""
        self.last_cost = min(cost, _INFINITE_COST)
        self.total_cost = min(self.total_cost + self.last_cost, _INFINITE_COST)

    def repeat(self, times: int) -> None:
        """Multiply the cost of the last element, because the pattern repeats the element."""
        self.total_cost = min(self.total_cost + self.last_cost * max(0, times - 1), _INFINITE_COST)
        self.last_cost = min(self.last_cost * max(1, times), _INFINITE_COST)


def estimate_pattern_cost(pattern: str) -> int:
    """Estimate the number of characters in a pattern after the expansion of its repetitions.

    A character class counts as several characters, because the engine compiles it to several states.
    """
    parts = [_PatternPart()]
    in_class = 0
    for token in _TOKEN.finditer(pattern):
        text = token[0]
        if text.startswith("["):
            in_class += 1
            parts.append(_PatternPart())
        elif in_class:
            if text == "]":
                in_class -= 1
                _close_group(parts)
            else:
                # All ASCII characters in a character class together compile to one state.
                parts[-1].add(_CLASS_COST if _CHAR_CLASS.match(text) else 0 if text.isascii() else 2)
        elif text.startswith("(") and not text.endswith(")"):
            parts.append(_PatternPart())
        elif text == ")":
            _close_group(parts)
        elif token[1] is not None:
            parts[-1].repeat(max(_parse_number(token[1]), _parse_number(token[3]), 1))
        elif _CHAR_CLASS.match(text):
            parts[-1].add(_CLASS_COST)
        elif text not in "|^$*+?":
            parts[-1].add(_ANY_CHAR_COST if text == "." else 1)
    while len(parts) > 1:
        _close_group(parts)
    return parts[0].total_cost * (2 if _CASE_INSENSITIVE_FLAG.search(pattern) else 1)


def _close_group(parts: list[_PatternPart]) -> None:
    if len(parts) > 1:
        inner = parts.pop()
        parts[-1].add(max(1, inner.total_cost))


def _parse_number(digits: str) -> int:
    return min(int(digits[:10]), _INFINITE_COST) if digits else 0
