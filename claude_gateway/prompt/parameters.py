"""What becomes of a request's parameters, and what the caller is told of it; each dialect has a table. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Treatment(StrEnum):
    HONOURED = "honoured"
    EMULATED = "emulated"
    IGNORED = "ignored"
    REFUSED = "refused"


# Parameter: treatment and how, or why not. Of an ignored one the caller reads it.
Table = Mapping[str, tuple[Treatment, str]]
# Parameter: the values that ask for nothing. Many clients send every field they know.
Neutral = Mapping[str, tuple[Any, ...]]
# Forms, templates and libraries send these in a field that the user did not set.
UNSET_TEXT = ("", "NOT_GIVEN")
# -1 as "not set": of a limit in the examples of LM Studio and the page of llama.cpp, of `top_p` and `top_k` in
# @langchain/anthropic before 1.3.20, of a seed in most programs for local models.
UNSET_LIMIT = (*UNSET_TEXT, -1)
# 0 too, which switches `top_k` off in most programs for local models.
UNSET_TOP_K = (*UNSET_TEXT, -1, 0)


@dataclass(frozen=True, slots=True)
class Treated:
    """A parameter that was sent, and what becomes of it."""

    name: str
    treatment: Treatment
    reason: str


LATER = "not supported by this version"
UNKNOWN = "unknown parameter"
_AS_IT_IS = "asks for nothing that would not be so without it"


# Parameters of the Messages API without an effect here, in every dialect that takes them.
_ONE_LOGIN = (Treatment.IGNORED, "the upstream sees the login of this gateway alone")
_ONE_TIER = (Treatment.IGNORED, "the tier is that of the login")
_OWN_CONTEXT = (Treatment.IGNORED, "Claude Code manages the context by itself")
UNUSED_MESSAGES_PARAMETERS: Table = {
    "metadata": _ONE_LOGIN,
    "user_profile_id": _ONE_LOGIN,
    "workspace_id": _ONE_LOGIN,
    "service_tier": _ONE_TIER,
    "speed": _ONE_TIER,
    "billing_policy": _ONE_TIER,
    "fallback_credit_token": _ONE_TIER,
    "inference_geo": (Treatment.IGNORED, "the place is that of the login"),
    "cache_control": (Treatment.EMULATED, "Claude Code marks the prompt for the cache by itself"),
    "context_management": _OWN_CONTEXT,
    "compaction": _OWN_CONTEXT,
    "diagnostics": (Treatment.IGNORED, LATER),
    "betas": (Treatment.IGNORED, "what a model can do does not depend on them here"),
    "container": (Treatment.IGNORED, "there is no container to run code in"),
    "mcp_servers": (Treatment.IGNORED, LATER),
    "thread": (Treatment.IGNORED, "each request must carry its whole conversation"),
    "fallbacks": (Treatment.IGNORED, "no other model answers in place of the one asked for"),
}


def warnings(sent: Mapping[str, Any], table: Table, neutral: Neutral) -> list[str]:
    """A line for each parameter that was sent, asks for something and is ignored."""
    return [f"{one.name}: {one.reason}" for one in treated(sent, table, neutral) if one.treatment is Treatment.IGNORED]


def treated(sent: Mapping[str, Any], table: Table, neutral: Neutral) -> Iterator[Treated]:
    """Every parameter that was sent. One that is not honoured and asks for nothing has what it asks for."""
    for name, value in sent.items():
        treatment, reason = table.get(name, (Treatment.IGNORED, UNKNOWN))
        if treatment is not Treatment.HONOURED and _asks_for_nothing(value, neutral.get(name, ())):
            yield Treated(name, Treatment.HONOURED, _AS_IT_IS)
        else:
            yield Treated(name, treatment, reason)


def drop_unset(sent: Mapping[str, Any], neutral: Neutral) -> dict[str, Any]:
    """The parameters without those whose value means "not set"."""
    return {name: value for name, value in sent.items() if not _is_one_of(value, neutral.get(name, ()))}


def _asks_for_nothing(value: Any, neutral: tuple[Any, ...]) -> bool:
    # By identity: 0 equals False, and a temperature of 0 asks for something.
    return value is None or value is False or value in ([], {}) or _is_one_of(value, neutral)


def _is_one_of(value: Any, values: tuple[Any, ...]) -> bool:
    """True and False are no numbers here."""
    return any(value == one and isinstance(value, bool) is isinstance(one, bool) for one in values)
