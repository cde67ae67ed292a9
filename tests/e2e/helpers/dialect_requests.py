"""One question in each dialect, streamed and whole, and its reply as the client reads it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from tests.e2e.helpers.gateway import API_KEY, MODEL

DIALECTS = ("chat", "responses", "messages", "gemini")
Tools = list[dict[str, Any]]


@dataclass(frozen=True)
class DialectReply:
    """A reply as a client reads it.

    `stop_reason` is the finish reason of the dialect, `calls` are names with the JSON text of their arguments, and
    `raw_response` is the whole response body.
    """

    status: int
    text: str
    calls: list[tuple[str, str]]
    stop_reason: str | None
    raw_response: str
    warnings: str


async def ask(
    url: str,
    dialect: str,
    text: str,
    *,
    stream: bool,
    tools: Tools | None = None,
    with_history: bool = False,
    **fields: Any,
) -> DialectReply:
    """Send a question in a dialect.

    `tools` have the shape of the Anthropic API. With a history the question follows a call and its result.
    """
    path, body = _REQUEST_BUILDERS[dialect](text, tools or [], with_history)
    if dialect == "gemini":
        path += ":streamGenerateContent?alt=sse" if stream else ":generateContent"
    else:
        body |= {"stream": stream}
    headers = {"authorization": f"Bearer {API_KEY}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(url + path, json=body | fields) as response,
    ):
        raw = (await response.read()).decode()
        warnings = response.headers.get("x-gateway-warnings", "")
        if response.status != 200:
            return DialectReply(response.status, "", [], None, raw, warnings)
        read = _STREAM_READERS[dialect](_parse_events(raw)) if stream else _BODY_READERS[dialect](json.loads(raw))
        return DialectReply(response.status, *read, raw, warnings)


def _parse_events(raw: str) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in raw.split("\n") if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def _chat_request(text: str, tools: Tools, with_history: bool) -> tuple[str, dict[str, Any]]:
    functions = [
        {
            "type": "function",
            "function": {
                "name": tool["name"],
                "description": tool.get("description", ""),
                "parameters": tool["input_schema"],
            },
        }
        for tool in tools
    ]
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    history: list[Any] = [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "done"},
    ]
    messages = [*(history if with_history else ()), {"role": "user", "content": text}]
    return "/v1/chat/completions", {"model": MODEL, "messages": messages, **({"tools": functions} if tools else {})}


def _responses_request(text: str, tools: Tools, with_history: bool) -> tuple[str, dict[str, Any]]:
    functions = [
        {
            "type": "function",
            "name": tool["name"],
            "description": tool.get("description"),
            "parameters": tool["input_schema"],
        }
        for tool in tools
    ]
    history: list[Any] = [
        {"role": "user", "content": "go"},
        {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": "done"},
    ]
    items = [*(history if with_history else ()), {"role": "user", "content": text}]
    return "/v1/responses", {"model": MODEL, "input": items, **({"tools": functions} if tools else {})}


def _messages_request(text: str, tools: Tools, with_history: bool) -> tuple[str, dict[str, Any]]:
    history: list[Any] = [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "call_1", "name": "f", "input": {}}]},
    ]
    result = {"type": "tool_result", "tool_use_id": "call_1", "content": "done"}
    blocks = [*((result,) if with_history else ()), {"type": "text", "text": text}]
    messages = [*(history if with_history else ()), {"role": "user", "content": blocks}]
    body = {"model": MODEL, "max_tokens": 1_000, "messages": messages}
    return "/v1/messages", body | ({"tools": tools} if tools else {})


def _gemini_request(text: str, tools: Tools, with_history: bool) -> tuple[str, dict[str, Any]]:
    functions = [
        {
            "name": tool["name"],
            "description": tool.get("description", ""),
            "parametersJsonSchema": tool["input_schema"],
        }
        for tool in tools
    ]
    history: list[Any] = [
        {"role": "user", "parts": [{"text": "go"}]},
        {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]},
    ]
    function_response = {"functionResponse": {"name": "f", "response": {"output": "done"}}}
    parts = [*((function_response,) if with_history else ()), {"text": text}]
    contents = [*(history if with_history else ()), {"role": "user", "parts": parts}]
    body: dict[str, Any] = {"contents": contents}
    return f"/v1beta/models/{MODEL}", body | ({"tools": [{"functionDeclarations": functions}]} if tools else {})


_REQUEST_BUILDERS = {
    "chat": _chat_request,
    "responses": _responses_request,
    "messages": _messages_request,
    "gemini": _gemini_request,
}
ReplyParts = tuple[str, list[tuple[str, str]], str | None]


def _read_chat_body(body: Mapping[str, Any]) -> ReplyParts:
    [choice] = body["choices"]
    calls = [
        (one["function"]["name"], one["function"]["arguments"]) for one in choice["message"].get("tool_calls") or []
    ]
    return choice["message"]["content"] or "", calls, choice["finish_reason"]


def _read_responses_body(body: Mapping[str, Any]) -> ReplyParts:
    texts = [part["text"] for item in body["output"] if item["type"] == "message" for part in item["content"]]
    calls = [(item["name"], item["arguments"]) for item in body["output"] if item["type"] == "function_call"]
    return "".join(texts), calls, body["status"]


def _read_messages_body(body: Mapping[str, Any]) -> ReplyParts:
    texts = [block["text"] for block in body["content"] if block["type"] == "text"]
    calls = [
        (block["name"], json.dumps(block["input"], separators=(",", ":"), ensure_ascii=False))
        for block in body["content"]
        if block["type"] == "tool_use"
    ]
    return "".join(texts), calls, body["stop_reason"]


def _read_gemini_body(body: Mapping[str, Any]) -> ReplyParts:
    [candidate] = body["candidates"]
    parts = (candidate.get("content") or {}).get("parts") or []
    texts = [part["text"] for part in parts if "text" in part and not part.get("thought")]
    calls = [
        (
            part["functionCall"]["name"],
            json.dumps(part["functionCall"]["args"], separators=(",", ":"), ensure_ascii=False),
        )
        for part in parts
        if "functionCall" in part
    ]
    return "".join(texts), calls, candidate.get("finishReason")


def _read_chat_stream(events: list[dict[str, Any]]) -> ReplyParts:
    text, end = "", None
    calls: dict[int, list[str]] = {}
    for choice in [choice for event in events for choice in event.get("choices", [])]:
        text += choice["delta"].get("content") or ""
        end = choice["finish_reason"] or end
        for call in choice["delta"].get("tool_calls") or []:
            one = calls.setdefault(call["index"], ["", ""])
            one[0] += call["function"].get("name") or ""
            one[1] += call["function"].get("arguments") or ""
    return text, [(name, arguments) for name, arguments in calls.values()], end


def _read_responses_stream(events: list[dict[str, Any]]) -> ReplyParts:
    text = "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
    whole_text, calls, status = _read_responses_body(events[-1]["response"])
    assert text == whole_text
    return text, calls, status


def _read_messages_stream(events: list[dict[str, Any]]) -> ReplyParts:
    text, end = "", None
    calls: list[list[str]] = []
    for event in events:
        match event:
            case {"type": "content_block_start", "content_block": {"type": "tool_use", "name": name}}:
                calls.append([name, ""])
            case {"type": "content_block_delta", "delta": {"type": "text_delta", "text": piece}}:
                text += piece
            case {"type": "content_block_delta", "delta": {"type": "input_json_delta", "partial_json": piece}}:
                calls[-1][1] += piece
            case {"type": "message_delta", "delta": {"stop_reason": reason}}:
                end = reason
    return text, [(name, arguments) for name, arguments in calls], end


def _read_gemini_stream(events: list[dict[str, Any]]) -> ReplyParts:
    read = [_read_gemini_body(event) for event in events]
    ends = [end for _, _, end in read if end]
    return "".join(text for text, _, _ in read), [call for _, calls, _ in read for call in calls], ends[-1]


_BODY_READERS = {
    "chat": _read_chat_body,
    "responses": _read_responses_body,
    "messages": _read_messages_body,
    "gemini": _read_gemini_body,
}
_STREAM_READERS = {
    "chat": _read_chat_stream,
    "responses": _read_responses_stream,
    "messages": _read_messages_stream,
    "gemini": _read_gemini_stream,
}
