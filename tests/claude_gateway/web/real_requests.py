"""Shortened requests of real client programs, each with its path, headers and body.

The golden cases contain complete requests and their jobs; each request here has one habit of a program.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

CHAT_PATH = "/v1/chat/completions"
MESSAGES_PATH = "/v1/messages"
_CITY_SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
_EPHEMERAL = {"cache_control": {"type": "ephemeral"}}


@dataclass(frozen=True, slots=True)
class ProgramRequest:
    """Request of a client program. The tests add the model to `body`."""

    program: str
    path: str
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.program


def _user_message(content: Any, **fields: Any) -> dict[str, Any]:
    return {"role": "user", "content": content, **fields}


def _function_tool(**fields: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "weather", "parameters": _CITY_SCHEMA, **fields}}


def _tool_call_message(content: Any, **fields: Any) -> dict[str, Any]:
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}}
    return {"role": "assistant", "content": content, "tool_calls": [call], **fields}


def _tool_message(content: Any) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": "call_1", "content": content}


_MINIMAL_CHAT = {"messages": [_user_message("hi")]}

CHAT_REQUESTS = (
    ProgramRequest("Dify, checking its settings", CHAT_PATH, {"messages": [_user_message("ping")], "max_tokens": 5}),
    ProgramRequest(
        "Dify, checking in stream mode",
        CHAT_PATH,
        {"messages": [_user_message("ping")], "max_tokens": 10, "stream": True},
    ),
    ProgramRequest(
        "a JavaScript client with Python's extra_body",
        CHAT_PATH,
        {**_MINIMAL_CHAT, "extra_body": {"top_k": 5, "reasoning_effort": "low", "x_mine": {"a": [1]}}},
    ),
    ProgramRequest(
        "a client that sends every field as null",
        CHAT_PATH,
        {
            **_MINIMAL_CHAT,
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
    ProgramRequest(
        "openai for Python",
        CHAT_PATH,
        {"messages": [{"role": "developer", "content": "Be brief."}, _user_message("hi")], "stream": True},
        {"x-stainless-lang": "python", "x-stainless-helper-method": "chat.completions.stream", "x-stainless-new": "?"},
    ),
    ProgramRequest(
        "openai for Python, sending the whole reply back",
        CHAT_PATH,
        {
            "messages": [
                _user_message("hi"),
                _tool_call_message(None, refusal=None, annotations=[], audio=None),
                _tool_message("rain"),
            ],
            "tools": [_function_tool(strict=True)],
        },
    ),
    ProgramRequest("a client with empty tools", CHAT_PATH, {**_MINIMAL_CHAT, "tools": [], "tool_choice": "auto"}),
    ProgramRequest(
        "a client with an empty text beside calls",
        CHAT_PATH,
        {"messages": [_user_message("hi"), _tool_call_message(""), _tool_message("")]},
    ),
    ProgramRequest(
        "aider",
        CHAT_PATH,
        {
            "messages": [{"role": "system", "content": "a"}, _user_message("hi"), {"role": "system", "content": "b"}],
            "stream": True,
        },
    ),
    ProgramRequest(
        "OpenCode",
        CHAT_PATH,
        {"messages": [_user_message("Name it:"), _user_message("hi")], "max_tokens": 32000, "stream": True},
        {"x-session-id": "ses_1", "x-session-affinity": "ses_1"},
    ),
    ProgramRequest(
        "Copilot",
        CHAT_PATH,
        {
            **_MINIMAL_CHAT,
            "top_p": 0.95,
            "temperature": 0.1,
            "frequency_penalty": 0,
            "presence_penalty": 0,
            "stream": True,
        },
        {"x-initiator": "agent", "x-interaction-type": "conversation"},
    ),
    ProgramRequest(
        "Qwen Code",
        CHAT_PATH,
        {
            "messages": [
                _user_message("hi"),
                _tool_call_message(None),
                _tool_message([{"type": "text", "text": "rain"}]),
            ],
            "tools": [_function_tool()],
            "stream": True,
            "stream_options": {"include_usage": True},
        },
    ),
    ProgramRequest(
        "Roo Code",
        CHAT_PATH,
        {
            "messages": [
                {"role": "developer", "content": "Formatting re-enabled\nBe brief."},
                _user_message([{"type": "text", "text": "hi", **_EPHEMERAL}]),
            ],
            "tools": [_function_tool(strict=True), _function_tool(name="mcp--x--y", strict=False)],
            "parallel_tool_calls": False,
            "max_completion_tokens": 4096,
            "stream": True,
            "stream_options": {"include_usage": True},
        },
    ),
    ProgramRequest(
        "Cursor, asking",
        CHAT_PATH,
        {
            **_MINIMAL_CHAT,
            "tools": [_function_tool(), {"type": "function", "name": "grep", "parameters": _CITY_SCHEMA}],
            "stream": True,
        },
    ),
    ProgramRequest(
        "LangChain, forcing a tool",
        CHAT_PATH,
        {
            **_MINIMAL_CHAT,
            "tools": [_function_tool()],
            "tool_choice": {"type": "function", "function": {"name": "weather"}},
        },
    ),
    ProgramRequest(
        "the Vercel SDK",
        CHAT_PATH,
        {
            **_MINIMAL_CHAT,
            "tools": [
                _function_tool(parameters={"$schema": "http://json-schema.org/draft-07/schema#", **_CITY_SCHEMA})
            ],
            "tool_choice": "auto",
            "stream": True,
            "stream_options": {"include_usage": True},
        },
    ),
    ProgramRequest("Cursor, its base URL without v1", "/chat/completions", {**_MINIMAL_CHAT, "stream": True}),
)

_TOOL = {"name": "weather", "input_schema": _CITY_SCHEMA}
_TOOL_USE = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}}
_TOOL_RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "rain"}]}
_TOOL_CALL_HISTORY = [
    _user_message("hi"),
    {"role": "assistant", "content": [{**_TOOL_USE, **_EPHEMERAL}]},
    _user_message([{**_TOOL_RESULT, **_EPHEMERAL}]),
]
_MINIMAL_MESSAGES = {**_MINIMAL_CHAT, "max_tokens": 100}

MESSAGES_REQUESTS = (
    ProgramRequest(
        "anthropic for Python",
        MESSAGES_PATH,
        _MINIMAL_MESSAGES,
        {"anthropic-version": "2026-10-21", "anthropic-beta": "a-2025,a-2025", "x-stainless-timeout": "NOT_GIVEN"},
    ),
    ProgramRequest(
        "anthropic for Python of last year",
        f"{MESSAGES_PATH}?beta=true",
        _MINIMAL_MESSAGES,
        {"anthropic-version": "2023-06-01"},
    ),
    ProgramRequest(
        "Claude Code",
        f"{MESSAGES_PATH}?beta=true",
        {
            "system": [
                {"type": "text", "text": "x-anthropic-billing-header: cc_version=2;"},
                {"type": "text", "text": "You are Claude Code.", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
            ],
            "messages": [
                _user_message([{"type": "text", "text": "hi"}]),
                {"role": "system", "content": "Tokens left: 9"},
            ],
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
    ProgramRequest(
        "OpenCode",
        MESSAGES_PATH,
        {
            "messages": _TOOL_CALL_HISTORY,
            "tools": [{**_TOOL, "eager_input_streaming": True}],
            "max_tokens": 100,
            "stream": True,
        },
        {"anthropic-beta": "structured-outputs-2025-11-13"},
    ),
    ProgramRequest(
        "Cline, its base URL without v1",
        "/messages",
        {**_MINIMAL_MESSAGES, "tools": [_TOOL, {"type": "web_search_20250305", "name": "web_search"}], "stream": True},
    ),
    ProgramRequest(
        "Copilot",
        MESSAGES_PATH,
        {**_MINIMAL_MESSAGES, "thinking": {"type": "adaptive", "display": "summarized"}, "stream": True},
    ),
    ProgramRequest(
        "a client that sends every field as null",
        MESSAGES_PATH,
        {
            **_MINIMAL_MESSAGES,
            **dict.fromkeys(("system", "stream", "temperature", "top_p", "top_k", "tools", "tool_choice", "thinking")),
            **dict.fromkeys(
                ("stop_sequences", "output_config", "metadata", "service_tier", "container", "mcp_servers")
            ),
        },
    ),
)
