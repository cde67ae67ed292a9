"""Decide for each request parameter whether the gateway supports it, and warn about ignored parameters. No I/O.

Each dialect has a table that lists its parameters, and says for each parameter whether the gateway supports it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Support(StrEnum):
    """Whether and how the gateway supports a request parameter.

    Attributes:
        SUPPORTED: The parameter has the effect that the API's documentation describes.
        EMULATED: The gateway produces the documented effect by another method than the API.
        IGNORED: The parameter has no effect, and the gateway warns the client.
        REJECTED: The gateway rejects the request with status 400.
    """

    SUPPORTED = "supported"
    EMULATED = "emulated"
    IGNORED = "ignored"
    REJECTED = "rejected"


# Maps the name of each parameter to a `Support` value and to a text, which is a reason or a remark. If the gateway
# ignores a parameter, the warning contains this text.
SupportTable = Mapping[str, tuple[Support, str]]
# Maps the name of a parameter to the values that are the default or mean "not set". Many clients send every parameter
# that they know, with such values.
NeutralValues = Mapping[str, tuple[Any, ...]]
# Forms, templates and libraries send these values in a field that the user did not set.
UNSET_TEXT = ("", "NOT_GIVEN")
# -1 means "not set": for a limit in the examples of LM Studio and on the web page of llama.cpp, for `top_p` and `top_k`
# in @langchain/anthropic before 1.3.20, and for a seed in most programs for local models.
UNSET_LIMIT = (*UNSET_TEXT, -1)
# For `top_k`, 0 means "not set", too, because most programs for local models use 0 to switch `top_k` off.
UNSET_TOP_K = (*UNSET_TEXT, -1, 0)


@dataclass(frozen=True, slots=True)
class ParameterSupport:
    """A parameter in a request, whether and how the gateway supports it, and the reason."""

    name: str
    support: Support
    reason: str


NOT_SUPPORTED = "not supported by this version"
UNKNOWN_PARAMETER = "unknown parameter"
_NO_EFFECT_REQUESTED = "this value requests nothing"


# These parameters of the Messages API have no effect in this gateway, in every dialect that accepts them.
_SINGLE_LOGIN = (Support.IGNORED, "the upstream sees only the login of this gateway")
_LOGIN_TIER = (Support.IGNORED, "the login of this gateway determines the tier")
_CONTEXT_MANAGED = (Support.IGNORED, "Claude Code manages the context itself")
UNUSED_MESSAGES_PARAMETERS: SupportTable = {
    "metadata": _SINGLE_LOGIN,
    "user_profile_id": _SINGLE_LOGIN,
    "workspace_id": _SINGLE_LOGIN,
    "service_tier": _LOGIN_TIER,
    "speed": _LOGIN_TIER,
    "billing_policy": _LOGIN_TIER,
    "fallback_credit_token": _LOGIN_TIER,
    "inference_geo": (Support.IGNORED, "the login of this gateway determines the location"),
    "cache_control": (Support.EMULATED, "Claude Code sets cache breakpoints itself"),
    "context_management": _CONTEXT_MANAGED,
    "compaction": _CONTEXT_MANAGED,
    "diagnostics": (Support.IGNORED, NOT_SUPPORTED),
    "betas": (Support.IGNORED, "the features of a model do not depend on them in this gateway"),
    "container": (Support.IGNORED, "this gateway has no container to run code in"),
    "mcp_servers": (Support.IGNORED, NOT_SUPPORTED),
    "thread": (Support.IGNORED, "each request must contain the whole conversation"),
    "fallbacks": (Support.IGNORED, "this gateway has no fallback models"),
}


def find_parameter_warnings(fields: Mapping[str, Any], table: SupportTable, neutral_values: NeutralValues) -> list[str]:
    """Return a warning for each parameter in a request that the gateway ignores.

    If the value of a parameter is the default value or means "not set", there is no warning.
    """
    return [
        f"{parameter.name}: ignored ({parameter.reason})"
        for parameter in classify_parameters(fields, table, neutral_values)
        if parameter.support is Support.IGNORED
    ]


def classify_parameters(
    fields: Mapping[str, Any], table: SupportTable, neutral_values: NeutralValues
) -> Iterator[ParameterSupport]:
    """Yield one entry for each parameter in a request. The entry says whether the gateway supports the parameter.

    If the value of a parameter is the default value or means "not set", the parameter counts as supported.
    """
    for name, value in fields.items():
        support, reason = table.get(name, (Support.IGNORED, UNKNOWN_PARAMETER))
        if support is not Support.SUPPORTED and _is_neutral(value, neutral_values.get(name, ())):
            yield ParameterSupport(name, Support.SUPPORTED, _NO_EFFECT_REQUESTED)
        else:
            yield ParameterSupport(name, support, reason)


def drop_unset(fields: Mapping[str, Any], neutral_values: NeutralValues) -> dict[str, Any]:
    """Return the parameters without those whose value means "not set"."""
    return {name: value for name, value in fields.items() if not _is_one_of(value, neutral_values.get(name, ()))}


def _is_neutral(value: Any, neutral_values: tuple[Any, ...]) -> bool:
    # Compare False with `is`, because 0 equals False, and a temperature of 0 requests something.
    return value is None or value is False or value in ([], {}) or _is_one_of(value, neutral_values)


def _is_one_of(value: Any, values: tuple[Any, ...]) -> bool:
    """Return whether the values contain this value. Unlike `in`, distinguish True from 1, and False from 0."""
    return any(value == other and isinstance(value, bool) is isinstance(other, bool) for other in values)
