"""What a model is asked: as a job wants it, and as the upstream received it, in one form.

Taken off what was received: the marks for the prompt cache, and the CLI's own block in front of the system prompt.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.e2e.random_jobs.job import Call, Job, Part, Picture, Result, Text, Thought, Tool
from tests.e2e.random_jobs.wire import gemini_response

Json = dict[str, Any]

_LEGAL_TOOL = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_LEGAL_PROPERTY = re.compile(r"[a-zA-Z0-9_.-]{1,64}")
_BILLING = "x-anthropic-billing-header:"
# With an API key the CLI puts this in front of each system prompt.
_INTRODUCTION = "You are a Claude agent, built on Anthropic's Claude Agent SDK."
_UNIONS = ("anyOf", "oneOf", "allOf")


@dataclass(frozen=True, slots=True)
class Prompt:
    """Messages as `(role, blocks)`, neighbours of one role joined, as the API joins them."""

    system: str
    messages: list[tuple[str, list[Json]]]
    tools: list[Json]
    parameters: Json


@dataclass(frozen=True, slots=True)
class Aliases:
    """Under which name the upstream knows a tool, and a property of it."""

    tools: Mapping[str, str]
    properties: Mapping[str, Mapping[str, str]]

    def of(self, tool: str) -> str:
        return self.tools.get(tool, tool)

    def arguments(self, call: Call) -> Json:
        known = self.properties.get(call.name, {})
        return {known.get(name, name): value for name, value in call.arguments.items()}


def aliases(job: Job, body: Json) -> Aliases:
    """The names that the upstream was told, where they may differ: a name that the API takes may not."""
    tools = body.get("tools") or []
    names = _paired([tool.name for tool in job.tools], [tool["name"] for tool in tools], _LEGAL_TOOL)
    seen = {tool["name"]: list(tool["input_schema"].get("properties", {})) for tool in tools}
    return Aliases(
        names,
        {
            tool.name: _paired(list(tool.schema.get("properties", {})), seen.get(names[tool.name], []), _LEGAL_PROPERTY)
            for tool in job.tools
            if tool.name in names
        },
    )


def _paired(sent: Sequence[str], seen: Sequence[str], legal: re.Pattern[str]) -> dict[str, str]:
    """What was sent, to what was seen of it: a name that the API takes stays, of the others each gets an alias."""
    pairs = {name: name for name in sent if name in seen}
    rest = [name for name in seen if name not in pairs]
    if len(rest) != len(sent) - len(pairs):
        return pairs  # one is missing, and nobody can tell which
    for name in sent:
        if name not in pairs and not legal.fullmatch(name):
            fits = [alias for alias in rest if legal.fullmatch(alias)]
            if fits:
                pairs[name] = next((alias for alias in fits if readable(name, alias)), fits[0])
                rest.remove(pairs[name])
    return pairs


def readable(name: str, alias: str) -> bool:
    """Whether what is ASCII in a name stands in its alias, in order: `github.create_issue` in `github_create_issue`."""
    wanted = re.sub(r"[^a-zA-Z0-9]", "", name)[:32].lower()
    letters = iter(alias.lower())
    return all(letter in letters for letter in wanted)


def wanted(job: Job, names: Aliases) -> Prompt:
    messages: list[tuple[str, list[Json]]] = []
    for turn in job.turns:
        blocks = [_block(job, part, names) for part in turn.parts]
        _add(messages, turn.role, _joined(blocks) if (job.dialect, turn.role) == ("gemini", "assistant") else blocks)
    return Prompt(
        "\n\n".join(job.system),
        messages,
        [_tool(tool, names) for tool in job.tools],
        _parameters(job, names),
    )


def received(job: Job, body: Json) -> Prompt:
    messages: list[tuple[str, list[Json]]] = []
    for message in body["messages"]:
        if _is_effort_of_a_turn(message):
            continue
        _add(messages, message["role"], [_plain(block) for block in _blocks(message["content"])])
    system = [block["text"] for block in _blocks(body.get("system") or [])]
    system = [text for text in system if not text.startswith(_BILLING) or text in job.system]
    if system[:1] == [_INTRODUCTION]:
        system = system[1:]
    return Prompt("\n\n".join(system), messages, [_seen_tool(tool) for tool in body.get("tools") or ()], _said(body))


def _is_effort_of_a_turn(message: Json) -> bool:
    """An entry without words, by which the CLI tells newer models how much effort an earlier turn had."""
    return message["role"] == "system" and not message["content"] and "output_config" in message


def _add(messages: list[tuple[str, list[Json]]], role: str, blocks: list[Json]) -> None:
    if messages and messages[-1][0] == role:
        messages[-1][1].extend(blocks)
    else:
        messages.append((role, blocks))


def _block(job: Job, part: Part, names: Aliases) -> Json:
    match part:
        case Text(text):
            return {"type": "text", "text": text}
        case Picture(media_type, data):
            return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}
        case Thought(thinking, signature):
            return {"type": "thinking", "thinking": thinking, "signature": signature}
        case Call():
            return {"type": "tool_use", "id": part.id, "name": names.of(part.name), "input": names.arguments(part)}
        case Result(call, parts, failed):
            content = [_block(job, one, names) for one in parts]
            if job.dialect == "gemini" and "output" not in (answer := gemini_response(job, parts)):
                content = [{"type": "text", "text": json.dumps(answer, ensure_ascii=False, separators=(",", ":"))}]
            return {"type": "tool_result", "tool_use_id": call.id, "content": content, "is_error": failed}


def _joined(blocks: list[Json]) -> list[Json]:
    """Of an answer in Gemini's words neighbouring texts are one: they are the pieces in which a stream came."""
    joined: list[Json] = []
    for block in blocks:
        if joined and block["type"] == joined[-1]["type"] == "text":
            joined[-1] = {"type": "text", "text": joined[-1]["text"] + block["text"]}
        else:
            joined.append(block)
    return joined


def _plain(block: Json) -> Json:
    block = {name: value for name, value in block.items() if name != "cache_control"}
    if block["type"] == "tool_result":
        content = [_plain(part) for part in _blocks(block.get("content") or [])]
        return {**block, "content": content, "is_error": block.get("is_error", False)}
    return block


def _blocks(content: str | list[Json]) -> list[Json]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _tool(tool: Tool, names: Aliases) -> Json:
    known = names.properties.get(tool.name, {})
    schema = {key: _renamed(key, value, known) for key, value in tool.schema.items()}
    # A name without any letter that the API takes is told in the description, where there is none.
    described = tool.description or ("" if re.search("[a-zA-Z0-9]", tool.name) else tool.name)
    return {"name": names.of(tool.name), "description": described, "input_schema": schema}


def _renamed(key: str, value: Any, known: Mapping[str, str]) -> Any:
    """A part of a schema's root, with the names that the upstream knows its properties by."""
    if key == "properties":
        return {known.get(name, name): schema for name, schema in value.items()}
    if key == "required":
        return [known.get(name, name) for name in value]
    if key in _UNIONS:
        return [{inner: _renamed(inner, part, known) for inner, part in one.items()} for one in value]
    return value


def _seen_tool(tool: Json) -> Json:
    kept = {name: value for name, value in tool.items() if name not in ("cache_control", "type")}
    return {**kept, "description": tool.get("description") or ""}


def without_unions(schema: Mapping[str, Any]) -> Json:
    """The API takes no union at the root of a schema, so that it may be missing there."""
    return {key: value for key, value in schema.items() if key not in _UNIONS}


def _parameters(job: Job, names: Aliases) -> Json:
    said = job.parameters
    wanted: Json = {}
    if said.max_tokens is not None:
        wanted["max_tokens"] = said.max_tokens
    wanted |= {name: _told(name, getattr(said, name)) for name in ("temperature", "top_p", "top_k")}
    wanted["stop_sequences"] = list(said.stop)
    choice = said.choice or "auto"
    wanted["tool_choice"] = f"tool:{names.of(choice[5:])}" if choice.startswith("tool:") else choice
    wanted["one_call_at_once"] = said.parallel is False and choice != "none"
    wanted["budget"] = said.budget if _may_think(job) else None
    return wanted


def _told(name: str, value: float | None) -> float | None:
    """1 is what the API takes where nothing is said."""
    return None if value == 1 and name != "top_k" else value


def _may_think(job: Job) -> bool:
    """With a budget the API wants a thought in front of calls that were just answered."""
    *_, before, last = (None, *job.turns)
    if before is None or not any(isinstance(part, Result) for part in last.parts):
        return True
    return isinstance(before.parts[0], Thought)


def _said(body: Json) -> Json:
    choice = body.get("tool_choice") or {"type": "auto"}
    kind = f"tool:{choice['name']}" if choice["type"] == "tool" else choice["type"]
    thinking = body.get("thinking") or {}
    return {
        "max_tokens": body["max_tokens"],
        **{name: _told(name, body.get(name)) for name in ("temperature", "top_p", "top_k")},
        "stop_sequences": body.get("stop_sequences") or [],
        "tool_choice": kind,
        "one_call_at_once": bool(choice.get("disable_parallel_tool_use")),
        "budget": thinking.get("budget_tokens"),
    }
