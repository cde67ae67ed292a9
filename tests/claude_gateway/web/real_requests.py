"""Requests in the shapes that real programs were seen to send, shortened: a program, its path, headers and body.

What a whole request of theirs becomes is told by the golden folders; here stand the habits of one program each.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

CHAT = "/v1/chat/completions"
MESSAGES = "/v1/messages"
_CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
_EPHEMERAL = {"cache_control": {"type": "ephemeral"}}


@dataclass(frozen=True, slots=True)
class RealRequest:
    """`body` lacks its model, which is the tests' own."""

    program: str
    path: str
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.program


def _user(content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": content, **more}


def _function(**more: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "weather", "parameters": _CITY, **more}}


def _called(content: Any, **more: Any) -> dict[str, Any]:
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}}
    return {"role": "assistant", "content": content, "tool_calls": [call], **more}


def _result(content: Any) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": "call_1", "content": content}


_HI = {"messages": [_user("hi")]}

OF_CHAT = (
    RealRequest("Dify, checking its settings", CHAT, {"messages": [_user("ping")], "max_tokens": 5}),
    RealRequest("Dify, checking in stream mode", CHAT, {"messages": [_user("ping")], "max_tokens": 10, "stream": True}),
    RealRequest(
        "a JavaScript caller with Python's extra_body",
        CHAT,
        {**_HI, "extra_body": {"top_k": 5, "reasoning_effort": "low", "x_mine": {"a": [1]}}},
    ),
    RealRequest(
        "a caller who sends every field he knows",
        CHAT,
        {
            **_HI,
            **dict.fromkeys(
                ("max_tokens", "max_completion_tokens", "temperature", "top_p", "stop", "stream", "n", "seed")
            ),
            **dict.fromkeys(
                ("stream_options", "tools", "tool_choice", "parallel_tool_calls", "reasoning_effort", "user")
            ),
            **dict.fromkeys(("response_format", "logit_bias", "logprobs", "metadata", "store", "modalities", "audio")),
            **dict.fromkeys(("anthropic_options", "google_options", "session_id", "enable_tools", "extra_body")),
        },
    ),
    RealRequest(
        "openai for Python",
        CHAT,
        {"messages": [{"role": "developer", "content": "Be brief."}, _user("hi")], "stream": True},
        {"x-stainless-lang": "python", "x-stainless-helper-method": "chat.completions.stream", "x-stainless-new": "?"},
    ),
    RealRequest(
        "openai for Python, giving the whole answer back",
        CHAT,
        {
            "messages": [_user("hi"), _called(None, refusal=None, annotations=[], audio=None), _result("rain")],
            "tools": [_function(strict=True)],
        },
    ),
    RealRequest("a caller with empty tools", CHAT, {**_HI, "tools": [], "tool_choice": "auto"}),
    RealRequest(
        "a caller with an empty text beside calls", CHAT, {"messages": [_user("hi"), _called(""), _result("")]}
    ),
    RealRequest(
        "aider",
        CHAT,
        {
            "messages": [{"role": "system", "content": "a"}, _user("hi"), {"role": "system", "content": "b"}],
            "stream": True,
        },
    ),
    RealRequest(
        "OpenCode",
        CHAT,
        {"messages": [_user("Name it:"), _user("hi")], "max_tokens": 32000, "stream": True},
        {"x-session-id": "ses_1", "x-session-affinity": "ses_1"},
    ),
    RealRequest(
        "Copilot",
        CHAT,
        {**_HI, "top_p": 0.95, "temperature": 0.1, "frequency_penalty": 0, "presence_penalty": 0, "stream": True},
        {"x-initiator": "agent", "x-interaction-type": "conversation"},
    ),
    RealRequest(
        "Qwen Code",
        CHAT,
        {
            "messages": [_user("hi"), _called(None), _result([{"type": "text", "text": "rain"}])],
            "tools": [_function()],
            "stream": True,
            "stream_options": {"include_usage": True},
        },
    ),
    RealRequest(
        "Roo Code",
        CHAT,
        {
            "messages": [
                {"role": "developer", "content": "Formatting re-enabled\nBe brief."},
                _user([{"type": "text", "text": "hi", **_EPHEMERAL}]),
            ],
            "tools": [_function(strict=True), _function(name="mcp--x--y", strict=False)],
            "parallel_tool_calls": False,
            "max_completion_tokens": 4096,
            "stream": True,
            "stream_options": {"include_usage": True},
        },
    ),
    RealRequest(
        "Cursor, asking",
        CHAT,
        {**_HI, "tools": [_function(), {"type": "function", "name": "grep", "parameters": _CITY}], "stream": True},
    ),
    RealRequest(
        "LangChain, forcing a tool",
        CHAT,
        {**_HI, "tools": [_function()], "tool_choice": {"type": "function", "function": {"name": "weather"}}},
    ),
    RealRequest(
        "the Vercel SDK",
        CHAT,
        {
            **_HI,
            "tools": [_function(parameters={"$schema": "http://json-schema.org/draft-07/schema#", **_CITY})],
            "tool_choice": "auto",
            "stream": True,
            "stream_options": {"include_usage": True},
        },
    ),
    RealRequest("Cursor, its base URL without v1", "/chat/completions", {**_HI, "stream": True}),
)

_TOOL = {"name": "weather", "input_schema": _CITY}
_USED = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}}
_ANSWERED = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "rain"}]}
_ROUND = [
    _user("hi"),
    {"role": "assistant", "content": [{**_USED, **_EPHEMERAL}]},
    _user([{**_ANSWERED, **_EPHEMERAL}]),
]
_SHORT = {**_HI, "max_tokens": 100}

OF_MESSAGES = (
    RealRequest(
        "anthropic for Python",
        MESSAGES,
        _SHORT,
        {"anthropic-version": "2026-10-21", "anthropic-beta": "a-2025,a-2025", "x-stainless-timeout": "NOT_GIVEN"},
    ),
    RealRequest(
        "anthropic for Python of last year", f"{MESSAGES}?beta=true", _SHORT, {"anthropic-version": "2023-06-01"}
    ),
    RealRequest(
        "Claude Code",
        f"{MESSAGES}?beta=true",
        {
            "system": [
                {"type": "text", "text": "x-anthropic-billing-header: cc_version=2;"},
                {"type": "text", "text": "You are Claude Code.", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
            ],
            "messages": [_user([{"type": "text", "text": "hi"}]), {"role": "system", "content": "Tokens left: 9"}],
            "tools": [_TOOL, {"name": "Placeholder", "input_schema": {"type": "object"}, "defer_loading": True}],
            "thinking": {"type": "adaptive", "display": "updates"},
            "output_config": {"effort": "high"},
            "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
            "metadata": {"user_id": '{"device":"d"}'},
            "max_tokens": 64000,
            "stream": True,
        },
        {"anthropic-version": "2023-06-01", "anthropic-beta": "one-2025-01-01,two-2026-01-01", "x-app": "cli"},
    ),
    RealRequest(
        "OpenCode",
        MESSAGES,
        {"messages": _ROUND, "tools": [{**_TOOL, "eager_input_streaming": True}], "max_tokens": 100, "stream": True},
        {"anthropic-beta": "structured-outputs-2025-11-13"},
    ),
    RealRequest(
        "Cline, its base URL without v1",
        "/messages",
        {**_SHORT, "tools": [_TOOL, {"type": "web_search_20250305", "name": "web_search"}], "stream": True},
    ),
    RealRequest(
        "Copilot", MESSAGES, {**_SHORT, "thinking": {"type": "adaptive", "display": "summarized"}, "stream": True}
    ),
    RealRequest(
        "a caller who sends every field he knows",
        MESSAGES,
        {
            **_SHORT,
            **dict.fromkeys(("system", "stream", "temperature", "top_p", "top_k", "tools", "tool_choice", "thinking")),
            **dict.fromkeys(
                ("stop_sequences", "output_config", "metadata", "service_tier", "container", "mcp_servers")
            ),
        },
    ),
)
