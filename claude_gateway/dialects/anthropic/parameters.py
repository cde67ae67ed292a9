"""Table that says which parameters of a Messages request this gateway supports. No I/O.

The warnings to clients and the documentation come from this table.
"""

from collections.abc import Mapping
from typing import Any

from claude_gateway.dialects.common.parameters import support
from claude_gateway.dialects.common.parameters.support import (
    UNSET_LIMIT,
    UNSET_TEXT,
    UNSET_TOP_K,
    UNUSED_MESSAGES_PARAMETERS,
    NeutralValues,
    ParameterSupport,
    Support,
    SupportTable,
)

PARAMETERS: SupportTable = {
    "model": (Support.SUPPORTED, "any `claude-*`"),
    "messages": (
        Support.SUPPORTED,
        "all types of blocks; a message of role `system` becomes a reminder at the same position",
    ),
    "system": (Support.SUPPORTED, ""),
    "stream": (Support.SUPPORTED, ""),
    "max_tokens": (Support.SUPPORTED, "optional"),
    "stop_sequences": (Support.SUPPORTED, "blank sequences are omitted"),
    "temperature": (Support.SUPPORTED, "if the model accepts it"),
    "top_p": (Support.SUPPORTED, "if the model accepts it, also together with a temperature"),
    "top_k": (Support.SUPPORTED, "if the model accepts it"),
    "thinking": (
        Support.SUPPORTED,
        "the gateway fits the budget to `max_tokens`, and uses `adaptive` only if the model supports it",
    ),
    "output_config": (
        Support.EMULATED,
        "`effort`; `format` through the structured outputs of the model if they support the schema, otherwise through "
        "an instruction. The gateway validates the reply, and asks the model once to correct it",
    ),
    "output_format": (Support.EMULATED, "older name of `output_config.format`"),
    "tools": (
        Support.SUPPORTED,
        "client tools; in a request without client tools, built-in tools replace hosted tools of the same kind",
    ),
    "tool_choice": (Support.SUPPORTED, ""),
    "session_id": (Support.SUPPORTED, ""),
    "enable_tools": (Support.SUPPORTED, "enables the built-in tools of Claude Code"),
    "stream_tool_progress": (
        Support.SUPPORTED,
        "calls of built-in tools appear as `server_tool_use` and `mcp_tool_use` blocks with their results",
    ),
    **UNUSED_MESSAGES_PARAMETERS,
}
# In these fields, a blank text is a value. In all other fields, a blank text means "not set".
_BLANK_ALLOWED_FIELDS = frozenset({"model", "messages", "system", "session_id"})
NEUTRAL_VALUES: NeutralValues = {
    **{name: UNSET_TEXT for name in PARAMETERS if name not in _BLANK_ALLOWED_FIELDS},
    "max_tokens": UNSET_LIMIT,
    "top_p": UNSET_LIMIT,
    "top_k": UNSET_TOP_K,
    "service_tier": (*UNSET_TEXT, "auto"),
    "speed": (*UNSET_TEXT, "standard"),
}


def warnings(fields: Mapping[str, Any]) -> list[str]:
    """Return a warning for each parameter in a request that the gateway ignores.

    If the value of a parameter is the default value or means "not set", there is no warning.
    """
    return support.find_parameter_warnings(fields, PARAMETERS, NEUTRAL_VALUES)


def classify(fields: Mapping[str, Any]) -> list[ParameterSupport]:
    """Return one entry for each parameter in a request. The entry says whether the gateway supports the parameter."""
    return list(support.classify_parameters(fields, PARAMETERS, NEUTRAL_VALUES))
