"""The prompt of a job in one form: as the job requires it, and as the upstream received it.

The received form leaves out cache marks and the CLI's own block in front of the system prompt.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.e2e.random_jobs.job import Image, Job, Part, Text, ThinkingBlock, Tool, ToolCall, ToolResult
from tests.e2e.random_jobs.wire import gemini_response

Json = dict[str, Any]

_VALID_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_VALID_PROPERTY_NAME = re.compile(r"[a-zA-Z0-9_.-]{1,64}")
_BILLING_PREFIX = "x-anthropic-billing-header:"
# With an API key the CLI puts this in front of each system prompt.
_CLI_SYSTEM_PROMPT = "You are a Claude agent, built on Anthropic's Claude Agent SDK."
_UNION_KEYWORDS = ("anyOf", "oneOf", "allOf")


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt. `messages` are roles with blocks; adjacent messages of one role are joined, as the API joins them."""

    system: str
    messages: list[tuple[str, list[Json]]]
    tools: list[Json]
    parameters: Json


@dataclass(frozen=True, slots=True)
class NameAliases:
    """The names under which the upstream knows tools and their properties."""

    tools: Mapping[str, str]
    properties: Mapping[str, Mapping[str, str]]

    def tool_alias(self, name: str) -> str:
        return self.tools.get(name, name)

    def aliased_arguments(self, call: ToolCall) -> Json:
        aliases = self.properties.get(call.name, {})
        return {aliases.get(name, name): value for name, value in call.arguments.items()}


def find_aliases(job: Job, body: Json) -> NameAliases:
    """Match the names in an upstream request to those of the job; names that the API accepts must not change."""
    tools = body.get("tools") or []
    names = _match_names([tool.name for tool in job.tools], [tool["name"] for tool in tools], _VALID_TOOL_NAME)
    received_properties = {tool["name"]: list(tool["input_schema"].get("properties", {})) for tool in tools}
    return NameAliases(
        names,
        {
            tool.name: _match_names(
                list(tool.schema.get("properties", {})),
                received_properties.get(names[tool.name], []),
                _VALID_PROPERTY_NAME,
            )
            for tool in job.tools
            if tool.name in names
        },
    )


def _match_names(names: Sequence[str], received_names: Sequence[str], valid_name: re.Pattern[str]) -> dict[str, str]:
    """Match sent names to received ones: a name that the API accepts stays, each other name gets an alias."""
    pairs = {name: name for name in names if name in received_names}
    rest = [name for name in received_names if name not in pairs]
    if len(rest) != len(names) - len(pairs):
        return pairs  # one is missing, and nothing tells which one
    for name in names:
        if name not in pairs and not valid_name.fullmatch(name):
            candidates = [alias for alias in rest if valid_name.fullmatch(alias)]
            if candidates:
                pairs[name] = next((alias for alias in candidates if is_readable_alias(name, alias)), candidates[0])
                rest.remove(pairs[name])
    return pairs


def is_readable_alias(name: str, alias: str) -> bool:
    """Return whether the alias holds the ASCII letters of the name in order, as in `github_create_issue`."""
    expected = re.sub(r"[^a-zA-Z0-9]", "", name)[:32].lower()
    letters = iter(alias.lower())
    return all(letter in letters for letter in expected)


def expected_prompt(job: Job, name_aliases: NameAliases) -> Prompt:
    messages: list[tuple[str, list[Json]]] = []
    for turn in job.turns:
        blocks = [_expected_block(job, part, name_aliases) for part in turn.parts]
        _append_message(
            messages, turn.role, _join_texts(blocks) if (job.dialect, turn.role) == ("gemini", "assistant") else blocks
        )
    return Prompt(
        "\n\n".join(job.system),
        messages,
        [_expected_tool(tool, name_aliases) for tool in job.tools],
        _expected_parameters(job, name_aliases),
    )


def received_prompt(job: Job, body: Json) -> Prompt:
    messages: list[tuple[str, list[Json]]] = []
    for message in body["messages"]:
        if _is_effort_message(message):
            continue
        _append_message(
            messages, message["role"], [_normalize_block(block) for block in _content_blocks(message["content"])]
        )
    system = [block["text"] for block in _content_blocks(body.get("system") or [])]
    system = [text for text in system if not text.startswith(_BILLING_PREFIX) or text in job.system]
    if system[:1] == [_CLI_SYSTEM_PROMPT]:
        system = system[1:]
    return Prompt(
        "\n\n".join(system),
        messages,
        [_received_tool(tool) for tool in body.get("tools") or ()],
        _received_parameters(body),
    )


def _is_effort_message(message: Json) -> bool:
    """Return whether this is an empty entry by which the CLI tells newer models the effort of an earlier turn."""
    return message["role"] == "system" and not message["content"] and "output_config" in message


def _append_message(messages: list[tuple[str, list[Json]]], role: str, blocks: list[Json]) -> None:
    if messages and messages[-1][0] == role:
        messages[-1][1].extend(blocks)
    else:
        messages.append((role, blocks))


def _expected_block(job: Job, part: Part, name_aliases: NameAliases) -> Json:
    match part:
        case Text(text):
            return {"type": "text", "text": text}
        case Image(media_type, data):
            return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}
        case ThinkingBlock(thinking, signature):
            return {"type": "thinking", "thinking": thinking, "signature": signature}
        case ToolCall():
            return {
                "type": "tool_use",
                "id": part.id,
                "name": name_aliases.tool_alias(part.name),
                "input": name_aliases.aliased_arguments(part),
            }
        case ToolResult(call, parts, is_error):
            content = [_expected_block(job, inner, name_aliases) for inner in parts]
            if job.dialect == "gemini" and "output" not in (response := gemini_response(job, parts)):
                content = [{"type": "text", "text": json.dumps(response, ensure_ascii=False, separators=(",", ":"))}]
            return {"type": "tool_result", "tool_use_id": call.id, "content": content, "is_error": is_error}


def _join_texts(blocks: list[Json]) -> list[Json]:
    """Join neighbouring texts, which in a Gemini reply are the pieces of one stream."""
    joined: list[Json] = []
    for block in blocks:
        if joined and block["type"] == joined[-1]["type"] == "text":
            joined[-1] = {"type": "text", "text": joined[-1]["text"] + block["text"]}
        else:
            joined.append(block)
    return joined


def _normalize_block(block: Json) -> Json:
    block = {name: value for name, value in block.items() if name != "cache_control"}
    if block["type"] == "tool_result":
        content = [_normalize_block(part) for part in _content_blocks(block.get("content") or [])]
        return {**block, "content": content, "is_error": block.get("is_error", False)}
    return block


def _content_blocks(content: str | list[Json]) -> list[Json]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _expected_tool(tool: Tool, name_aliases: NameAliases) -> Json:
    aliases = name_aliases.properties.get(tool.name, {})
    schema = {key: _rename_properties(key, value, aliases) for key, value in tool.schema.items()}
    # If the alias of a tool holds no letter of its name, the name becomes the missing description.
    description = tool.description or ("" if re.search("[a-zA-Z0-9]", tool.name) else tool.name)
    return {"name": name_aliases.tool_alias(tool.name), "description": description, "input_schema": schema}


def _rename_properties(keyword: str, value: Any, property_aliases: Mapping[str, str]) -> Any:
    """Return one keyword's value of a root schema with the aliases of its properties."""
    if keyword == "properties":
        return {property_aliases.get(name, name): schema for name, schema in value.items()}
    if keyword == "required":
        return [property_aliases.get(name, name) for name in value]
    if keyword in _UNION_KEYWORDS:
        return [
            {inner: _rename_properties(inner, part, property_aliases) for inner, part in branch.items()}
            for branch in value
        ]
    return value


def _received_tool(tool: Json) -> Json:
    fields = {name: value for name, value in tool.items() if name not in ("cache_control", "type")}
    return {**fields, "description": tool.get("description") or ""}


def drop_unions(schema: Mapping[str, Any]) -> Json:
    """Drop the unions at the root of a schema, which the API does not accept there."""
    return {key: value for key, value in schema.items() if key not in _UNION_KEYWORDS}


def _expected_parameters(job: Job, name_aliases: NameAliases) -> Json:
    parameters = job.parameters
    expected: Json = {}
    if parameters.max_tokens is not None:
        expected["max_tokens"] = parameters.max_tokens
    expected |= {
        name: _normalize_parameter(name, getattr(parameters, name)) for name in ("temperature", "top_p", "top_k")
    }
    expected["stop_sequences"] = list(parameters.stop)
    choice = parameters.tool_choice or "auto"
    expected["tool_choice"] = f"tool:{name_aliases.tool_alias(choice[5:])}" if choice.startswith("tool:") else choice
    expected["one_call_at_once"] = parameters.parallel_tool_calls is False and choice != "none"
    expected["budget"] = parameters.thinking_budget_tokens if _can_think(job) else None
    return expected


def _normalize_parameter(name: str, value: float | None) -> float | None:
    """Return None for 1, the default of the API for temperature and top_p."""
    return None if value == 1 and name != "top_k" else value


def _can_think(job: Job) -> bool:
    """Return whether the history permits thinking: with a budget, thinking must precede calls with results."""
    *_, before, last = (None, *job.turns)
    if before is None or not any(isinstance(part, ToolResult) for part in last.parts):
        return True
    return isinstance(before.parts[0], ThinkingBlock)


def _received_parameters(body: Json) -> Json:
    choice = body.get("tool_choice") or {"type": "auto"}
    kind = f"tool:{choice['name']}" if choice["type"] == "tool" else choice["type"]
    thinking = body.get("thinking") or {}
    return {
        "max_tokens": body["max_tokens"],
        **{name: _normalize_parameter(name, body.get(name)) for name in ("temperature", "top_p", "top_k")},
        "stop_sequences": body.get("stop_sequences") or [],
        "tool_choice": kind,
        "one_call_at_once": bool(choice.get("disable_parallel_tool_use")),
        "budget": thinking.get("budget_tokens"),
    }
