"""One question in each dialect, streamed and whole, and what the client reads of the answer."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from tests.e2e.conftest import API_KEY, MODEL

DIALECTS = ("chat", "responses", "messages", "gemini")
Tools = list[dict[str, Any]]


@dataclass(frozen=True)
class Read:
    """What a client makes of an answer. `end` is the reason in the words of the dialect, `calls` are names with the
    JSON text of their arguments, `body` is the whole of what came."""

    status: int
    text: str
    calls: list[tuple[str, str]]
    end: str | None
    body: str
    warnings: str


async def ask(
    url: str, dialect: str, text: str, *, stream: bool, tools: Tools | None = None, history: bool = False, **more: Any
) -> Read:
    """Ask in a dialect. `tools` are in Anthropic's shape; with `history` the question stands behind a call and its
    result."""
    path, body = _REQUESTS[dialect](text, tools or [], history)
    if dialect == "gemini":
        path += ":streamGenerateContent?alt=sse" if stream else ":generateContent"
    else:
        body |= {"stream": stream}
    headers = {"authorization": f"Bearer {API_KEY}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(url + path, json=body | more) as response,
    ):
        raw = (await response.read()).decode()
        warnings = response.headers.get("x-gateway-warnings", "")
        if response.status != 200:
            return Read(response.status, "", [], None, raw, warnings)
        read = _STREAMS[dialect](_events(raw)) if stream else _WHOLES[dialect](json.loads(raw))
        return Read(response.status, *read, raw, warnings)


def _events(raw: str) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in raw.split("\n") if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def _chat(text: str, tools: Tools, history: bool) -> tuple[str, dict[str, Any]]:
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
    past: list[Any] = [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "done"},
    ]
    messages = [*(past if history else ()), {"role": "user", "content": text}]
    return "/v1/chat/completions", {"model": MODEL, "messages": messages, **({"tools": functions} if tools else {})}


def _responses(text: str, tools: Tools, history: bool) -> tuple[str, dict[str, Any]]:
    functions = [
        {
            "type": "function",
            "name": tool["name"],
            "description": tool.get("description"),
            "parameters": tool["input_schema"],
        }
        for tool in tools
    ]
    past: list[Any] = [
        {"role": "user", "content": "go"},
        {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": "done"},
    ]
    items = [*(past if history else ()), {"role": "user", "content": text}]
    return "/v1/responses", {"model": MODEL, "input": items, **({"tools": functions} if tools else {})}


def _messages(text: str, tools: Tools, history: bool) -> tuple[str, dict[str, Any]]:
    past: list[Any] = [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "call_1", "name": "f", "input": {}}]},
    ]
    result = {"type": "tool_result", "tool_use_id": "call_1", "content": "done"}
    blocks = [*((result,) if history else ()), {"type": "text", "text": text}]
    messages = [*(past if history else ()), {"role": "user", "content": blocks}]
    body = {"model": MODEL, "max_tokens": 1_000, "messages": messages}
    return "/v1/messages", body | ({"tools": tools} if tools else {})


def _gemini(text: str, tools: Tools, history: bool) -> tuple[str, dict[str, Any]]:
    functions = [
        {
            "name": tool["name"],
            "description": tool.get("description", ""),
            "parametersJsonSchema": tool["input_schema"],
        }
        for tool in tools
    ]
    past: list[Any] = [
        {"role": "user", "parts": [{"text": "go"}]},
        {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]},
    ]
    answer = {"functionResponse": {"name": "f", "response": {"output": "done"}}}
    parts = [*((answer,) if history else ()), {"text": text}]
    contents = [*(past if history else ()), {"role": "user", "parts": parts}]
    body: dict[str, Any] = {"contents": contents}
    return f"/v1beta/models/{MODEL}", body | ({"tools": [{"functionDeclarations": functions}]} if tools else {})


_REQUESTS = {"chat": _chat, "responses": _responses, "messages": _messages, "gemini": _gemini}
Parts = tuple[str, list[tuple[str, str]], str | None]


def _whole_chat(body: Mapping[str, Any]) -> Parts:
    [choice] = body["choices"]
    calls = [
        (one["function"]["name"], one["function"]["arguments"]) for one in choice["message"].get("tool_calls") or []
    ]
    return choice["message"]["content"] or "", calls, choice["finish_reason"]


def _whole_responses(body: Mapping[str, Any]) -> Parts:
    texts = [part["text"] for item in body["output"] if item["type"] == "message" for part in item["content"]]
    calls = [(item["name"], item["arguments"]) for item in body["output"] if item["type"] == "function_call"]
    return "".join(texts), calls, body["status"]


def _whole_messages(body: Mapping[str, Any]) -> Parts:
    texts = [block["text"] for block in body["content"] if block["type"] == "text"]
    calls = [
        (block["name"], json.dumps(block["input"], separators=(",", ":"), ensure_ascii=False))
        for block in body["content"]
        if block["type"] == "tool_use"
    ]
    return "".join(texts), calls, body["stop_reason"]


def _whole_gemini(body: Mapping[str, Any]) -> Parts:
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


def _streamed_chat(events: list[dict[str, Any]]) -> Parts:
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


def _streamed_responses(events: list[dict[str, Any]]) -> Parts:
    text = "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
    whole_text, calls, status = _whole_responses(events[-1]["response"])
    assert text == whole_text
    return text, calls, status


def _streamed_messages(events: list[dict[str, Any]]) -> Parts:
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


def _streamed_gemini(events: list[dict[str, Any]]) -> Parts:
    read = [_whole_gemini(event) for event in events]
    ends = [end for _, _, end in read if end]
    return "".join(text for text, _, _ in read), [call for _, calls, _ in read for call in calls], ends[-1]


_WHOLES = {"chat": _whole_chat, "responses": _whole_responses, "messages": _whole_messages, "gemini": _whole_gemini}
_STREAMS = {
    "chat": _streamed_chat,
    "responses": _streamed_responses,
    "messages": _streamed_messages,
    "gemini": _streamed_gemini,
}
