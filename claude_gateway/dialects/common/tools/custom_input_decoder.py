"""Decoder for the input of a custom tool call. Claude writes the input as JSON, in fragments. No I/O."""

import json
import re

import orjson

from claude_gateway.dialects.common.tools.custom_tools import CUSTOM_INPUT_FIELD

_OBJECT_START = re.compile(rf'\s*\{{\s*"{CUSTOM_INPUT_FIELD}"\s*:\s*"')
# Matches the complete characters at the beginning of a JSON string. A high surrogate is complete only together with the
# low surrogate that follows. A lone surrogate is never complete.
_COMPLETE_CHARS = re.compile(
    r"""(?: [^"\\]
          | \\["\\/bfnrt]
          | \\u(?![dD][89a-fA-F])[0-9a-fA-F]{4}
          | \\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}
        )*""",
    re.VERBOSE,
)


class CustomInputDecoder:
    """Extracts the plain text from JSON of the form `{"input": "…"}` that the gateway receives in fragments.

    The decoder returns each part of the plain text as soon as no later fragment can change this part.
    """

    def __init__(self) -> None:
        self._json: list[str] = []
        self._decoded: list[str] = []
        self._pending = ""
        self._in_string = False

    def feed(self, fragment: str) -> str:
        """Process the next fragment of the JSON text, and return the plain text that this fragment completes."""
        self._json.append(fragment)
        self._pending += fragment
        if not self._in_string:
            head = _OBJECT_START.match(self._pending)
            if head is None:
                return ""
            self._pending = self._pending[head.end() :]
            self._in_string = True
        complete = _COMPLETE_CHARS.match(self._pending)
        assert complete is not None  # the pattern matches every string, even ""
        self._pending = self._pending[complete.end() :]
        text: str = json.loads(f'"{complete[0]}"', strict=False)
        self._decoded.append(text)
        return text

    def end(self) -> str:
        """Return the plain text that `feed` has not returned. Call this method after the last fragment."""
        rest = self.text.removeprefix("".join(self._decoded))
        self._decoded.append(rest)
        return rest

    @property
    def text(self) -> str:
        """The plain text so far. If Claude wrote JSON of another form, the plain text is the JSON text itself."""
        decoded, json_text = "".join(self._decoded), "".join(self._json)
        try:
            value = orjson.loads(json_text)
        except orjson.JSONDecodeError:
            return decoded
        custom_input = value.get(CUSTOM_INPUT_FIELD) if isinstance(value, dict) else None
        text = custom_input if isinstance(custom_input, str) else json_text
        return text if text.startswith(decoded) else decoded
