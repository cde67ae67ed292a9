r"""Replaces lone surrogates by U+FFFD in text that arrives in chunks. No I/O.

UTF-16 represents some characters as a pair of surrogates. JSON may contain half of such a pair (`"\ud83d"`), but UTF-8
may not. If the two halves of a pair are in two chunks, the module joins them.
"""

import re
from typing import Any

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_REPLACEMENT_ESCAPE = "\\ufffd"
_SURROGATE = re.compile("[\ud800-\udfff]")
_HIGH_SURROGATE = re.compile("[\ud800-\udbff]")
_HIGH_SURROGATE_ESCAPE = r"\\u[dD][89abAB][0-9a-fA-F]{2}"
_LOW_SURROGATE_ESCAPE = r"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_LOW_SURROGATE_ESCAPE_PREFIX = re.compile(r"(?:\\(?:u(?:[dD](?:[c-fC-F][0-9a-fA-F]?)?)?)?)?")
# Pattern for one token of a JSON text. A token is a surrogate pair, half of a pair, another escape, or the text between
# escapes. An incomplete escape is not a token.
_TOKEN = re.compile(
    rf"(?P<pair>{_HIGH_SURROGATE_ESCAPE}{_LOW_SURROGATE_ESCAPE})|(?P<half>{_HIGH_SURROGATE_ESCAPE}|{_LOW_SURROGATE_ESCAPE})|\\u[0-9a-fA-F]{{4}}|\\[^u]|[^\\]+",
    re.DOTALL,
)


def replace_lone_surrogates(text: str) -> str:
    """Return the text with each lone surrogate replaced by U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if _SURROGATE.search(text) else text


def replace_in_json(value: Any) -> Any:
    """Return the JSON value with U+FFFD in place of each lone surrogate in its texts."""
    match value:
        case str():
            return replace_lone_surrogates(value)
        case dict():
            return {replace_in_json(key): replace_in_json(item) for key, item in value.items()}
        case list() | tuple():
            return [replace_in_json(item) for item in value]
        case _:
            return value


class SurrogateRepair:
    """Replaces lone surrogates in one text that arrives in chunks.

    If a chunk ends with the first half of a surrogate pair, the object keeps this half until the next call of `feed` or
    `flush`.
    """

    def __init__(self) -> None:
        self._pending = ""

    @property
    def has_pending(self) -> bool:
        """Whether the last chunk ended with the first half of a surrogate pair."""
        return bool(self._pending)

    def feed(self, chunk: str) -> str:
        """Repair the next chunk, and return the text that is now complete."""
        if not self._pending and chunk.isascii():
            return chunk
        text, self._pending = self._pending + chunk, ""
        if text and _HIGH_SURROGATE.match(text[-1]):
            text, self._pending = text[:-1], text[-1]
        return replace_lone_surrogates(text)

    def flush(self) -> str:
        """Process the end of the text. Return U+FFFD if the last chunk ended with half of a pair, and otherwise ""."""
        held, self._pending = self._pending, ""
        return _REPLACEMENT if held else ""


class JsonSurrogateRepair:
    """Replaces lone surrogates in one JSON text that arrives in chunks. In JSON, a surrogate may also be an escape."""

    def __init__(self) -> None:
        self._text_repair = SurrogateRepair()
        self._pending = ""

    def feed(self, chunk: str) -> str:
        """Repair the next chunk, and return the text that is now complete."""
        text, self._pending = self._pending + self._text_repair.feed(chunk), ""
        return self._repair(text, is_last=False) if "\\" in text else text

    def flush(self) -> str:
        """Process the end of the text, and return the repaired form of the text that `feed` has not returned yet."""
        return self._repair(self._pending + self._text_repair.flush(), is_last=True)

    def _repair(self, text: str, *, is_last: bool) -> str:
        out: list[str] = []
        position = 0
        while token := _TOKEN.match(text, position):
            is_half = token["half"] is not None
            # The other half of the pair may be in the next chunk, or may begin in this chunk.
            if is_half and not is_last and _LOW_SURROGATE_ESCAPE_PREFIX.fullmatch(text, token.end()):
                break
            out.append(_REPLACEMENT_ESCAPE if is_half else token[0])
            position = token.end()
        self._pending = text[position:]
        if is_last:
            out.append(self._pending)
            self._pending = ""
        return "".join(out)
