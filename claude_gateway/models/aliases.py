"""Names that other providers' programs have for their models, and which of Claude's answers to each. Pure.

Programs with a fixed model name work through them: Codex asks for gpt-5.5, Gemini CLI for a gemini-3.8-flash that it
chose by itself, editors for gpt-4o or o4-mini.
"""

import re
from dataclasses import dataclass

_NONE = "none"
# It travels in a response header and is the operator's own word: anything printable, a Bedrock ARN too.
_ENTRY = re.compile(r"([!-<>-~]+?)=([!-<>-~]+)")


@dataclass(frozen=True, slots=True)
class Alias:
    """`*` in the pattern stands for anything. `target` is a model, or a word of the catalogue's for one."""

    pattern: str
    target: str

    @property
    def exact(self) -> bool:
        return "*" not in self.pattern

    def matches(self, name: str) -> bool:
        if self.exact:
            return name == self.pattern
        return re.fullmatch(".*".join(map(re.escape, self.pattern.split("*"))), name) is not None


def _all_to(target: str, *patterns: str) -> tuple[Alias, ...]:
    return tuple(Alias(pattern, target) for pattern in patterns)


# Who chose a small model wants a quick and cheap answer; whoever else gets the model that the operator chose.
DEFAULTS = (
    *_all_to(
        "haiku", "gpt-*mini*", "gpt-*nano*", "gpt-3.5*", "gpt-35*", "o1-mini*", "o3-mini*", "o4-mini*", "codex-mini*"
    ),
    *_all_to("haiku", "gemini-*flash-lite*", "gemini-*flash-8b*"),
    *_all_to("default", "gpt-*", "chatgpt-*", "codex-*", "o1", "o1-*", "o3", "o3-*", "o4", "o4-*"),
    *_all_to("default", "gemini-*", "auto", "auto-gemini-*"),
)


def read_aliases(setting: str) -> tuple[Alias, ...]:
    """The entries of a setting, `pattern=model` with commas between, and behind them the default table unless the
    last one is `none`. Raises `ValueError` with the number of the entry at fault."""
    entries = [entry.strip() for entry in setting.split(",") if entry.strip()]
    ends = bool(entries) and entries[-1] == _NONE
    own = tuple(_read(number, entry) for number, entry in enumerate(entries[:-1] if ends else entries, 1))
    return own if ends else own + DEFAULTS


def _read(number: int, entry: str) -> Alias:
    match = _ENTRY.fullmatch(entry)
    if match is None:
        raise ValueError(f"entry {number} is not `pattern=model`")
    return Alias(match[1], match[2])
