"""What becomes of each parameter of a chat request. One table, from which warnings and documentation come."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any


class Treatment(StrEnum):
    HONOURED = "honoured"
    IGNORED = "ignored"


_LATER = "not supported by this version"

# Parameter: treatment and, where it is not simply honoured, the reason that a caller reads.
PARAMETERS: Mapping[str, tuple[Treatment, str]] = {
    "model": (Treatment.HONOURED, ""),
    "messages": (Treatment.HONOURED, ""),
    "stream": (Treatment.HONOURED, ""),
    "stream_options": (Treatment.HONOURED, ""),
    "max_tokens": (Treatment.HONOURED, ""),
    "max_completion_tokens": (Treatment.HONOURED, ""),
    "user": (Treatment.IGNORED, "the upstream sees the login of this gateway alone"),
    "temperature": (Treatment.HONOURED, ""),
    "top_p": (Treatment.HONOURED, ""),
    "top_k": (Treatment.HONOURED, ""),
    "stop": (Treatment.HONOURED, ""),
    "reasoning_effort": (Treatment.HONOURED, ""),
    "anthropic_options": (Treatment.HONOURED, ""),
    "tools": (Treatment.HONOURED, ""),
    "tool_choice": (Treatment.HONOURED, ""),
    "parallel_tool_calls": (Treatment.HONOURED, ""),
    "response_format": (Treatment.IGNORED, _LATER),
    "session_id": (Treatment.IGNORED, _LATER),
    "enable_tools": (Treatment.IGNORED, _LATER),
    "n": (Treatment.IGNORED, _LATER),
    "frequency_penalty": (Treatment.IGNORED, "Claude has no such parameter"),
    "presence_penalty": (Treatment.IGNORED, "Claude has no such parameter"),
    "logit_bias": (Treatment.IGNORED, "Claude has no such parameter"),
    "logprobs": (Treatment.IGNORED, "Claude returns no log probabilities"),
    "top_logprobs": (Treatment.IGNORED, "Claude returns no log probabilities"),
    "seed": (Treatment.IGNORED, "Claude has no such parameter"),
    "prediction": (Treatment.IGNORED, "Claude has no such parameter"),
    "audio": (Treatment.IGNORED, "Claude answers in text"),
    "modalities": (Treatment.IGNORED, "Claude answers in text"),
    "service_tier": (Treatment.IGNORED, "the tier is that of the login"),
    "metadata": (Treatment.IGNORED, "nothing is stored"),
    "store": (Treatment.IGNORED, "nothing is stored"),
}
_UNKNOWN = "unknown parameter"
# Values that ask for nothing: many clients send every field they know.
_NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "n": (1,),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "top_logprobs": (0,),
    "service_tier": ("auto", "default"),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
}


def _asks_for_nothing(name: str, value: Any) -> bool:
    # By identity: 0 equals False, and a temperature of 0 asks for something.
    return value is None or value is False or value in ([], {}) or value in _NEUTRAL.get(name, ())


def warnings(sent: Mapping[str, Any]) -> list[str]:
    """A line for each parameter that was sent, asks for something and is not honoured."""
    lines = []
    for name, value in sent.items():
        treatment, reason = PARAMETERS.get(name, (Treatment.IGNORED, _UNKNOWN))
        if treatment is Treatment.HONOURED or _asks_for_nothing(name, value):
            continue
        lines.append(f"{name}: {reason}")
    return lines
