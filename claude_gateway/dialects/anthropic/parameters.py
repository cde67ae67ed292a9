"""What becomes of each parameter of a Messages request. One table, from which warnings and documentation come."""

from collections.abc import Mapping
from typing import Any

from claude_gateway.prompt import parameters
from claude_gateway.prompt.parameters import (
    UNSET_LIMIT,
    UNSET_TEXT,
    UNSET_TOP_K,
    UNUSED_MESSAGES_PARAMETERS,
    Neutral,
    Table,
    Treated,
    Treatment,
)

PARAMETERS: Table = {
    "model": (Treatment.HONOURED, "any `claude-*`"),
    "messages": (Treatment.HONOURED, "every block; an entry of role `system` becomes a reminder at its place"),
    "system": (Treatment.HONOURED, ""),
    "stream": (Treatment.HONOURED, ""),
    "max_tokens": (Treatment.HONOURED, "may be missing"),
    "stop_sequences": (Treatment.HONOURED, "blank ones are left out"),
    "temperature": (Treatment.HONOURED, "where the model takes it"),
    "top_p": (Treatment.HONOURED, "where the model takes it, beside the temperature too"),
    "top_k": (Treatment.HONOURED, "where the model takes it"),
    "thinking": (Treatment.HONOURED, "the budget fitted to `max_tokens`; `adaptive` where the model knows it"),
    "output_config": (
        Treatment.EMULATED,
        "`effort`; `format` by the model's own structured outputs where it has them and they can say the schema, else "
        "asked for in words. Either way the answer is checked, and once asked for again",
    ),
    "output_format": (Treatment.EMULATED, "an older name of `output_config.format`"),
    "tools": (
        Treatment.HONOURED,
        "the caller's own; without those, what the provider would run is done by Claude's own tools where it has them",
    ),
    "tool_choice": (Treatment.HONOURED, ""),
    "session_id": (Treatment.HONOURED, ""),
    "enable_tools": (Treatment.HONOURED, "Claude's own tools"),
    "stream_tool_progress": (
        Treatment.HONOURED,
        "what Claude does with its own tools, told in `server_tool_use` and `mcp_tool_use` blocks and their results",
    ),
    **UNUSED_MESSAGES_PARAMETERS,
}
# In these a blank text is what the client says.
_TEXTS = frozenset({"model", "messages", "system", "session_id"})
NEUTRAL: Neutral = {
    **{name: UNSET_TEXT for name in PARAMETERS if name not in _TEXTS},
    "max_tokens": UNSET_LIMIT,
    "top_p": UNSET_LIMIT,
    "top_k": UNSET_TOP_K,
    "service_tier": (*UNSET_TEXT, "auto"),
    "speed": (*UNSET_TEXT, "standard"),
}


def warnings(sent: Mapping[str, Any]) -> list[str]:
    """A line for each parameter that was sent, asks for something and is not honoured."""
    return parameters.warnings(sent, PARAMETERS, NEUTRAL)


def treated(sent: Mapping[str, Any]) -> list[Treated]:
    """What becomes of each parameter of a whole request."""
    return list(parameters.treated(sent, PARAMETERS, NEUTRAL))
