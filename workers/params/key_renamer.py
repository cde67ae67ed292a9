"""Renames the keys at the root of a JSON object whose text arrives in chunks. No I/O.

The renamer does not change any other text. For example, it keeps the form of numbers, spaces and escapes.
"""

import json
from collections.abc import Mapping


class KeyRenamer:
    """Renames the root keys of one JSON object whose text arrives in chunks.

    Args:
        new_names: A map from each key to rename to its new name. All other keys stay the same.
    """

    def __init__(self, new_names: Mapping[str, str]) -> None:
        self._new_names = new_names
        self._depth = 0
        self._in_string = False
        self._escaped = False
        # Whether the next string is a key at the root of the object.
        self._expects_key = False
        # The part of the current key that has arrived, with the opening quote. None if the text is not within a key.
        self._partial_key: list[str] | None = None

    def feed(self, chunk: str) -> str:
        """Process the next chunk, and return all text that the renamer can return now."""
        return "".join([self._process(character) for character in chunk])

    def flush(self) -> str:
        """Process the end of the text. Return the text of the last key if this key is incomplete, and otherwise ""."""
        partial_key = "".join(self._partial_key or ())
        self._partial_key = None
        return partial_key

    def _process(self, character: str) -> str:
        if self._in_string:
            return self._process_in_string(character)
        match character:
            case '"':
                self._in_string = True
                if self._depth == 1 and self._expects_key:
                    self._partial_key = [character]
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

    def _process_in_string(self, character: str) -> str:
        if self._partial_key is not None:
            self._partial_key.append(character)
        if self._escaped:
            self._escaped = False
        elif character == "\\":
            self._escaped = True
        elif character == '"':
            self._in_string = False
            return self._finish_key() if self._partial_key is not None else character
        return "" if self._partial_key is not None else character

    def _finish_key(self) -> str:
        key_text = self.flush()
        try:
            key = json.loads(key_text)
        except ValueError:
            return key_text
        return json.dumps(self._new_names[key], ensure_ascii=False) if key in self._new_names else key_text
