"""Prompt cache of the fake API. It follows the documentation of the real API.

The cache stores prefixes of prompts. A prefix ends at a cache breakpoint, which is a block with the field
`cache_control`. Documentation: https://platform.claude.com/docs/en/build-with-claude/prompt-caching
"""

import hashlib
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from claude_gateway.devtools.fake_anthropic.exact_json import dumps
from claude_gateway.devtools.fake_anthropic.token_count import PromptBlock, total_tokens

_MAX_PREFIXES = 20_000
_MAX_LOOKBACK_BLOCKS = 20
_TTL_SECONDS = {"5m": 300.0, "1h": 3600.0}
_MIN_CACHEABLE_TOKENS = 1_024
# The minimum number of tokens in a cached prefix for the models that match `_NEWER_MODELS`.
_MIN_CACHEABLE_TOKENS_NEWER = 4_096
_NEWER_MODELS = re.compile(r"claude-(?:opus-4-[5-9]|haiku-4-5|opus-[5-9])")
# The system block that begins with this text is different in each request, so it is not part of a cached prefix.
_BILLING_PREFIX = "x-anthropic-billing-header:"

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class PromptUsage:
    """The numbers of prompt tokens that were read from the cache, written to the cache, and not cached.

    Attributes:
        cache_read_tokens: The number of tokens that were read from the cache.
        cache_write_tokens: The number of tokens that were written to the cache.
        cache_write_1h_tokens: The number of written tokens that the cache keeps for an hour instead of five minutes.
        uncached_tokens: The number of tokens that were neither read from the cache nor written to it.
    """

    cache_read_tokens: int
    cache_write_tokens: int
    cache_write_1h_tokens: int
    uncached_tokens: int


@dataclass(frozen=True, slots=True)
class _Prefix:
    """The beginning of a prompt, up to and including one block.

    Attributes:
        digest: A hash of the content.
        tokens: The number of tokens.
        ttl: The lifetime of the cache breakpoint at the last block, "5m" or "1h"; None if the block has no breakpoint.
    """

    digest: bytes
    tokens: int
    ttl: str | None


class PromptCache:
    """Cache that stores prefixes of earlier prompts. If the cache is full, it evicts the least recently used prefix.

    Args:
        clock: A function that returns the current time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._expires_at: OrderedDict[bytes, float] = OrderedDict()

    def clear(self) -> None:
        """Remove all prefixes from the cache."""
        self._expires_at.clear()

    def process_request(self, body: Json, prompt: Sequence[PromptBlock]) -> PromptUsage:
        """Return the numbers of cached and uncached prompt tokens in a request, and cache the prefixes of the prompt.

        Args:
            body: The request body.
            prompt: The blocks of the prompt.
        """
        total = total_tokens(prompt)
        prefixes = list(_iter_prefixes(body, prompt))
        breakpoints = [index for index, prefix in enumerate(prefixes) if prefix.ttl is not None]
        read_tokens = self._read_longest_prefix(prefixes, breakpoints)
        min_tokens = _MIN_CACHEABLE_TOKENS_NEWER if _NEWER_MODELS.match(body["model"]) else _MIN_CACHEABLE_TOKENS
        cached_tokens = cached_1h_tokens = read_tokens
        for index in breakpoints:
            prefix = prefixes[index]
            if prefix.ttl is None or prefix.tokens < min_tokens:
                continue
            self._store(prefix.digest, _TTL_SECONDS[prefix.ttl])
            cached_tokens = max(cached_tokens, prefix.tokens)
            if prefix.ttl == "1h":
                cached_1h_tokens = max(cached_1h_tokens, prefix.tokens)
        return PromptUsage(
            read_tokens, cached_tokens - read_tokens, cached_1h_tokens - read_tokens, total - cached_tokens
        )

    def _read_longest_prefix(self, prefixes: list[_Prefix], breakpoints: list[int]) -> int:
        now = self._clock()
        for index in reversed(breakpoints):
            for prefix in reversed(prefixes[max(0, index - _MAX_LOOKBACK_BLOCKS) : index + 1]):
                if self._expires_at.get(prefix.digest, 0) > now:
                    self._store(prefix.digest, _TTL_SECONDS["5m"])
                    return prefix.tokens
        return 0

    def _store(self, digest: bytes, ttl_seconds: float) -> None:
        self._expires_at[digest] = max(self._clock() + ttl_seconds, self._expires_at.get(digest, 0))
        self._expires_at.move_to_end(digest)
        if len(self._expires_at) > _MAX_PREFIXES:
            self._expires_at.popitem(last=False)


def _iter_prefixes(body: Json, prompt: Sequence[PromptBlock]) -> Iterator[_Prefix]:
    digest = hashlib.blake2b(str(body["model"]).encode(), digest_size=16).digest()
    tokens = 0.0
    in_messages = False
    for block in prompt:
        if block.role not in ("tool", "system") and not in_messages:
            in_messages = True
            # Include these parameters in the digest, because a change of them invalidates the cached messages according
            # to the documentation of the API.
            digest = _extend_digest(digest, dumps([body.get("tool_choice"), body.get("thinking")]))
        tokens += block.tokens
        ttl, content = _ttl_and_content(block)
        if content is not None:
            digest = _extend_digest(digest, content)
        yield _Prefix(digest, ceil(tokens), ttl)


def _ttl_and_content(block: PromptBlock) -> tuple[str | None, bytes | None]:
    if block.role == "system" and str(block.block.get("text")).startswith(_BILLING_PREFIX):
        return None, None
    raw = dumps([block.role, block.block])
    if b'"cache_control"' not in raw:
        return None, raw
    ttls: list[str] = []
    content = dumps([block.role, _strip_cache_control(block.block, ttls)])
    return (ttls[-1] if ttls else None), content


def _strip_cache_control(value: Any, ttls: list[str]) -> Any:
    """Return a block without its cache breakpoints, and append the lifetime of each cache breakpoint to `ttls`."""
    if isinstance(value, list):
        return [_strip_cache_control(part, ttls) for part in value]
    if not isinstance(value, dict):
        return value
    stripped = {name: _strip_cache_control(part, ttls) if name == "content" else part for name, part in value.items()}
    cache_control = stripped.pop("cache_control", None)
    if cache_control:
        ttls.append(cache_control.get("ttl", "5m"))
    return stripped


def _extend_digest(digest: bytes, data: bytes) -> bytes:
    return hashlib.blake2b(digest + data, digest_size=16).digest()
