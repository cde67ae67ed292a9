"""What the stand-in's prompt cache holds, as the API documents its own: prefixes that end at a `cache_control` mark.

https://platform.claude.com/docs/en/build-with-claude/prompt-caching
"""

import hashlib
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from claude_gateway.demo.exact_json import dumps
from claude_gateway.demo.tokens import Piece, tokens_of

_MAX_PREFIXES = 20_000
_MAX_BLOCKS_BEFORE_A_MARK = 20
_SECONDS = {"5m": 300.0, "1h": 3600.0}
_MIN_TOKENS = 1_024
# The newer models cache from here on.
_MORE_MIN_TOKENS = 4_096
_NEWER = re.compile(r"claude-(?:opus-4-[5-9]|haiku-4-5|opus-[5-9])")
# Another one each time, so that it cannot be part of what is compared.
_BILLING = "x-anthropic-billing-header:"

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class PromptUsage:
    """The tokens of a prompt: read from the cache, written to it for five minutes and for an hour, and the others."""

    read: int
    written: int
    written_for_an_hour: int
    rest: int


@dataclass(frozen=True, slots=True)
class _Prefix:
    """The prompt up to a block: its digest, its tokens, and for how long a mark keeps it (None: no mark)."""

    digest: bytes
    tokens: int
    ttl: str | None


class PromptCache:
    """The prefixes of earlier requests. Bounded: the ones unused for longest are forgotten."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._expiry: OrderedDict[bytes, float] = OrderedDict()

    def forget(self) -> None:
        self._expiry.clear()

    def take(self, body: Json, prompt: Sequence[Piece]) -> PromptUsage:
        """The usage of a request that is answered now; later ones find its marked prefixes."""
        total = tokens_of(prompt)
        prefixes = list(_prefixes(body, prompt))
        marks = [number for number, prefix in enumerate(prefixes) if prefix.ttl is not None]
        read = self._longest_read(prefixes, marks)
        least = _MORE_MIN_TOKENS if _NEWER.match(body["model"]) else _MIN_TOKENS
        end = hour = read
        for number in marks:
            prefix = prefixes[number]
            if prefix.ttl is None or prefix.tokens < least:
                continue
            self._keep(prefix.digest, _SECONDS[prefix.ttl])
            end = max(end, prefix.tokens)
            if prefix.ttl == "1h":
                hour = max(hour, prefix.tokens)
        return PromptUsage(read, end - read, hour - read, total - end)

    def _longest_read(self, prefixes: list[_Prefix], marks: list[int]) -> int:
        now = self._clock()
        for mark in reversed(marks):
            for prefix in reversed(prefixes[max(0, mark - _MAX_BLOCKS_BEFORE_A_MARK) : mark + 1]):
                if self._expiry.get(prefix.digest, 0) > now:
                    self._keep(prefix.digest, _SECONDS["5m"])
                    return prefix.tokens
        return 0

    def _keep(self, digest: bytes, seconds: float) -> None:
        self._expiry[digest] = max(self._clock() + seconds, self._expiry.get(digest, 0))
        self._expiry.move_to_end(digest)
        if len(self._expiry) > _MAX_PREFIXES:
            self._expiry.popitem(last=False)


def _prefixes(body: Json, prompt: Sequence[Piece]) -> Iterator[_Prefix]:
    digest = hashlib.blake2b(str(body["model"]).encode(), digest_size=16).digest()
    tokens = 0.0
    in_messages = False
    for piece in prompt:
        if piece.role not in ("tool", "system") and not in_messages:
            in_messages = True
            # Other ones make other messages of the same, says the documentation.
            digest = _next(digest, dumps([body.get("tool_choice"), body.get("thinking")]))
        tokens += piece.tokens
        ttl, identity = _identity(piece)
        if identity is not None:
            digest = _next(digest, identity)
        yield _Prefix(digest, ceil(tokens), ttl)


def _identity(piece: Piece) -> tuple[str | None, bytes | None]:
    if piece.role == "system" and str(piece.block.get("text")).startswith(_BILLING):
        return None, None
    raw = dumps([piece.role, piece.block])
    if b'"cache_control"' not in raw:
        return None, raw
    ttls: list[str] = []
    unmarked = dumps([piece.role, _unmarked(piece.block, ttls)])
    return (ttls[-1] if ttls else None), unmarked


def _unmarked(value: Any, ttls: list[str]) -> Any:
    """The block without the marks in it and in its parts; what they say of their time goes into `ttls`."""
    if isinstance(value, list):
        return [_unmarked(part, ttls) for part in value]
    if not isinstance(value, dict):
        return value
    kept = {name: _unmarked(part, ttls) if name == "content" else part for name, part in value.items()}
    mark = kept.pop("cache_control", None)
    if mark:
        ttls.append(mark.get("ttl", "5m"))
    return kept


def _next(digest: bytes, data: bytes) -> bytes:
    return hashlib.blake2b(digest + data, digest_size=16).digest()
