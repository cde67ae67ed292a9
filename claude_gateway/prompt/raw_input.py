"""The raw text of a custom tool's call, read out of the JSON in which Claude writes it, piece by piece. Pure."""

import json
import re

import orjson

from claude_gateway.prompt.custom_tools import CUSTOM_INPUT

_HEAD = re.compile(rf'\s*\{{\s*"{CUSTOM_INPUT}"\s*:\s*"')
# Whole characters of a JSON string. A high surrogate waits for its low one; either alone never passes.
_WHOLE = re.compile(
    r"""(?: [^"\\]
          | \\["\\/bfnrt]
          | \\u(?![dD][89a-fA-F])[0-9a-fA-F]{4}
          | \\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}
        )*""",
    re.VERBOSE,
)


class RawInput:
    """Feed it the JSON text of `{"input": …}` as it comes; each piece gives the raw text that is now sure."""

    def __init__(self) -> None:
        self._json: list[str] = []
        self._sent: list[str] = []
        self._waiting = ""
        self._in_text = False

    def feed(self, piece: str) -> str:
        self._json.append(piece)
        self._waiting += piece
        if not self._in_text:
            head = _HEAD.match(self._waiting)
            if head is None:
                return ""
            self._waiting = self._waiting[head.end() :]
            self._in_text = True
        whole = _WHOLE.match(self._waiting)
        assert whole is not None  # nothing matches, too
        self._waiting = self._waiting[whole.end() :]
        text: str = json.loads(f'"{whole[0]}"', strict=False)
        self._sent.append(text)
        return text

    def end(self) -> str:
        """What is still to be sent when the JSON is whole, or as whole as it will be."""
        rest = self.text.removeprefix("".join(self._sent))
        self._sent.append(rest)
        return rest

    @property
    def text(self) -> str:
        """The whole input so far; where Claude wrote another object, that."""
        sent, written = "".join(self._sent), "".join(self._json)
        try:
            value = orjson.loads(written)
        except orjson.JSONDecodeError:
            return sent
        whole = value.get(CUSTOM_INPUT) if isinstance(value, dict) else None
        text = whole if isinstance(whole, str) else written
        return text if text.startswith(sent) else sent
