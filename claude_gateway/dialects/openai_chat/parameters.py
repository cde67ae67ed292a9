"""What becomes of each parameter of a chat request. One table, from which warnings and documentation come."""

from collections.abc import Mapping
from typing import Any

from claude_gateway import parameters
from claude_gateway.parameters import LATER, Table, Treatment

PARAMETERS: Table = {
    "model": (Treatment.HONOURED, ""),
    "messages": (Treatment.HONOURED, ""),
    "system": (Treatment.HONOURED, ""),
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
    "functions": (Treatment.HONOURED, ""),
    "function_call": (Treatment.HONOURED, ""),
    "response_format": (Treatment.IGNORED, LATER),
    "session_id": (Treatment.HONOURED, ""),
    "enable_tools": (Treatment.HONOURED, ""),
    "stream_tool_progress": (Treatment.HONOURED, ""),
    "n": (Treatment.IGNORED, LATER),
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


def warnings(sent: Mapping[str, Any]) -> list[str]:
    """A line for each parameter that was sent, asks for something and is not honoured."""
    return parameters.warnings(sent, PARAMETERS, _NEUTRAL)
