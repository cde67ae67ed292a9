"""Renames the keys at the root of a JSON object whose text comes in pieces. Pure.

Everything but those keys passes as it was written: numbers, spaces and escapes included.
"""

import json
from collections.abc import Mapping


class KeyRenamer:
    """Feed it the text as it comes; each piece gives the text that is now sure. `end` gives the rest, where the text
    broke off in the middle of a key."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names
        self._depth = 0
        self._in_string = False
        self._escaped = False
        # At the root of the object, where the next string is a key.
        self._expects_key = False
        # The text of a key so far, its opening quote included; None outside of one.
        self._key: list[str] | None = None

    def feed(self, piece: str) -> str:
        return "".join([self._next(character) for character in piece])

    def end(self) -> str:
        rest = "".join(self._key or ())
        self._key = None
        return rest

    def _next(self, character: str) -> str:
        if self._in_string:
            return self._in_text(character)
        match character:
            case '"':
                self._in_string = True
                if self._depth == 1 and self._expects_key:
                    self._key = [character]
                    return ""
            case "{" | "[":
                self._depth += 1
                self._expects_key = self._depth == 1 and character == "{"
            case "}" | "]":
                self._depth -= 1
                self._expects_key = False
            case ",":
                self._expects_key = self._depth == 1
            case ":" if self._depth == 1:
                self._expects_key = False
        return character

    def _in_text(self, character: str) -> str:
        if self._key is not None:
            self._key.append(character)
        if self._escaped:
            self._escaped = False
        elif character == "\\":
            self._escaped = True
        elif character == '"':
            self._in_string = False
            return self._whole_key() if self._key is not None else character
        return "" if self._key is not None else character

    def _whole_key(self) -> str:
        written = self.end()
        try:
            key = json.loads(written)
        except ValueError:
            return written
        return json.dumps(self._names[key], ensure_ascii=False) if key in self._names else written
