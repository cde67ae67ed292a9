"""How much a regular expression grows when it is built, told from its text. Pure.

An engine of linear time writes out what a pattern repeats: `\\w{100}` is a hundred times the letters of all scripts. To
build one takes a thread the more time and memory, and no other thread runs meanwhile.
"""

import re
from dataclasses import dataclass

# As many letters as a pattern may become; the largest that are taken need a tenth of a second.
MAX_COST = 2_500
_OF_CLASS = 20
_OF_ANY = 5
_ENDLESS = 10**9
_TOKEN = re.compile(
    r"\\[pP](?:\{[^}]*\}|.)|\\[wWdDsS]|\\[xuU]\{[^}]*\}|\\.|\(\?[a-zA-Z-]*\)|\((?:\?(?:P?<[^>]*>|[a-zA-Z-]*:))?|"
    r"\{\s*(\d*)\s*(,?)\s*(\d*)\s*\}|\[(?:\^|)\]?|.",
    re.DOTALL,
)
_IS_CLASS = re.compile(r"\\[pPwWdDsS]")
_IGNORES_CASE = re.compile(r"\(\?[a-zA-Z]*i")


@dataclass(slots=True)
class _Part:
    """A group or a class while it is read: all of it so far, and its last element, which may be repeated."""

    total: int = 0
    last: int = 0

    def add(self, cost: int) -> None:
        self.last = min(cost, _ENDLESS)
        self.total = min(self.total + self.last, _ENDLESS)

    def repeat(self, times: int) -> None:
        self.total = min(self.total + self.last * max(0, times - 1), _ENDLESS)
        self.last = min(self.last * max(1, times), _ENDLESS)


def cost(pattern: str) -> int:
    """How many letters it becomes, roughly; of a class of letters as many as that takes states."""
    parts = [_Part()]
    in_class = 0
    for token in _TOKEN.finditer(pattern):
        text = token[0]
        if text.startswith("["):
            in_class += 1
            parts.append(_Part())
        elif in_class:
            if text == "]":
                in_class -= 1
                _close(parts)
            else:
                # Letters of ASCII together are one state, however many.
                parts[-1].add(_OF_CLASS if _IS_CLASS.match(text) else 0 if text.isascii() else 2)
        elif text.startswith("(") and not text.endswith(")"):
            parts.append(_Part())
        elif text == ")":
            _close(parts)
        elif token[1] is not None:
            parts[-1].repeat(max(_number(token[1]), _number(token[3]), 1))
        elif _IS_CLASS.match(text):
            parts[-1].add(_OF_CLASS)
        elif text not in "|^$*+?":
            parts[-1].add(_OF_ANY if text == "." else 1)
    while len(parts) > 1:
        _close(parts)
    return parts[0].total * (2 if _IGNORES_CASE.search(pattern) else 1)


def _close(parts: list[_Part]) -> None:
    if len(parts) > 1:
        inner = parts.pop()
        parts[-1].add(max(1, inner.total))


def _number(digits: str) -> int:
    return min(int(digits[:10]), _ENDLESS) if digits else 0
