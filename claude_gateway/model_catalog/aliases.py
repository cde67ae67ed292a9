"""Aliases that map model names of other providers to Claude models. No I/O.

Some clients always request the same model name. With aliases, such clients can use the gateway. For example, Codex
requests gpt-5.5, Gemini CLI requests gemini-3.8-flash, and editors request gpt-4o or o4-mini.
"""

import re
from dataclasses import dataclass

_NO_DEFAULT_ALIASES = "none"
# The target of an alias appears in a response header, so it must be printable ASCII. It may be a Bedrock ARN.
_ENTRY_PATTERN = re.compile(r"([!-<>-~]+?)=([!-<>-~]+)")


@dataclass(frozen=True, slots=True)
class ModelAlias:
    """Rule that maps one or more model names to a Claude model.

    Attributes:
        pattern: Pattern for the names that clients request. `*` matches any characters.
        target: Id of the Claude model, or a short name that the catalog resolves, such as `sonnet`.
    """

    pattern: str
    target: str

    @property
    def is_exact(self) -> bool:
        """Whether the pattern matches only one name."""
        return "*" not in self.pattern

    def matches(self, name: str) -> bool:
        """Return whether the pattern matches a name."""
        if self.is_exact:
            return name == self.pattern
        return re.fullmatch(".*".join(map(re.escape, self.pattern.split("*"))), name) is not None


def _aliases_to(target: str, *patterns: str) -> tuple[ModelAlias, ...]:
    return tuple(ModelAlias(pattern, target) for pattern in patterns)


# The default aliases map the names of small models to the small Claude model, because a client that requests a small
# model prefers speed and low prices. The aliases map all other names to the operator's default model.
DEFAULT_ALIASES = (
    *_aliases_to(
        "haiku", "gpt-*mini*", "gpt-*nano*", "gpt-3.5*", "gpt-35*", "o1-mini*", "o3-mini*", "o4-mini*", "codex-mini*"
    ),
    *_aliases_to("haiku", "gemini-*flash-lite*", "gemini-*flash-8b*"),
    *_aliases_to("default", "gpt-*", "chatgpt-*", "codex-*", "o1", "o1-*", "o3", "o3-*", "o4", "o4-*"),
    *_aliases_to("default", "gemini-*", "auto", "auto-gemini-*"),
)


def parse_aliases(setting: str) -> tuple[ModelAlias, ...]:
    """Parse a setting of comma-separated `pattern=model` entries.

    Returns:
        The aliases in the setting, followed by the default aliases. If the last entry is `none`, the default aliases
        are left out.

    Raises:
        ValueError: An entry is invalid. The text of the error contains the number of the entry.
    """
    entries = [entry.strip() for entry in setting.split(",") if entry.strip()]
    without_defaults = bool(entries) and entries[-1] == _NO_DEFAULT_ALIASES
    if without_defaults:
        entries.pop()
    operator_aliases = tuple(_parse_alias(number, entry) for number, entry in enumerate(entries, 1))
    return operator_aliases if without_defaults else operator_aliases + DEFAULT_ALIASES


def _parse_alias(number: int, entry: str) -> ModelAlias:
    match = _ENTRY_PATTERN.fullmatch(entry)
    if match is None:
        raise ValueError(f"entry {number} is not `pattern=model`")
    return ModelAlias(match[1], match[2])
