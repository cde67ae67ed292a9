"""Replaces half a surrogate pair by U+FFFD in text that comes in pieces. Pure.

JSON may name half a pair (`"\\ud83d"`), UTF-8 cannot hold one. A pair whose halves come in two pieces is put together.
"""

import re

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_REPLACEMENT_ESCAPE = "\\ufffd"
_HALF = re.compile("[\ud800-\udfff]")
_HIGH = re.compile("[\ud800-\udbff]")
_HIGH_ESCAPE = r"\\u[dD][89abAB][0-9a-fA-F]{2}"
_LOW_ESCAPE = r"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_LOW_ESCAPE_BEGUN = re.compile(r"(?:\\(?:u(?:[dD](?:[c-fC-F][0-9a-fA-F]?)?)?)?)?")
# A pair, half of one, any other escape, and the text between them. What matches none of these is an escape cut off.
_TOKEN = re.compile(
    rf"(?P<pair>{_HIGH_ESCAPE}{_LOW_ESCAPE})|(?P<half>{_HIGH_ESCAPE}|{_LOW_ESCAPE})|\\u[0-9a-fA-F]{{4}}|\\[^u]|[^\\]+",
    re.DOTALL,
)


def without_halves(text: str) -> str:
    """A whole text without half a pair."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if _HALF.search(text) else text


class TextRepair:
    """Feed it the pieces of one text; `end` gives what was held back for its other half."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> str:
        text, self._held = self._held + piece, ""
        if text and _HIGH.match(text[-1]):
            text, self._held = text[:-1], text[-1]
        return without_halves(text)

    def end(self) -> str:
        held, self._held = self._held, ""
        return _REPLACEMENT if held else ""


class JsonTextRepair:
    """The same for the pieces of a JSON text, in which half a pair may also stand as an escape."""

    def __init__(self) -> None:
        self._characters = TextRepair()
        self._held = ""

    def feed(self, piece: str) -> str:
        text, self._held = self._held + self._characters.feed(piece), ""
        return self._repaired(text, is_last=False) if "\\" in text else text

    def end(self) -> str:
        return self._repaired(self._held + self._characters.end(), is_last=True)

    def _repaired(self, text: str, *, is_last: bool) -> str:
        out: list[str] = []
        place = 0
        while token := _TOKEN.match(text, place):
            is_half = token["half"] is not None
            # The other half may be in the next piece, or have begun in this one.
            if is_half and not is_last and _LOW_ESCAPE_BEGUN.fullmatch(text, token.end()):
                break
            out.append(_REPLACEMENT_ESCAPE if is_half else token[0])
            place = token.end()
        self._held = text[place:]
        if is_last:
            out.append(self._held)
            self._held = ""
        return "".join(out)
