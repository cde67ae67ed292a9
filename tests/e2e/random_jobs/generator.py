"""Random jobs from a seed: the same seed makes the same job."""

import struct
import zlib
from base64 import b64encode
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from claude_gateway.devtools.fake_anthropic.thinking_signature import compute_thinking_signature
from tests.e2e.random_jobs.job import (
    Dialect,
    Image,
    Job,
    Parameters,
    Part,
    Text,
    ThinkingBlock,
    Tool,
    ToolCall,
    ToolResult,
    Turn,
)
from tests.e2e.random_jobs.texts import random_description, random_system_prompt, random_text, random_words

# Older models accept sampling parameters and thinking budgets; the newest model accepts neither.
OLDER_MODELS = ("claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001")
NEWEST_MODEL = "claude-opus-5-5"

_TOOL_NAMES = (
    *("weather", "get_weather", "search", "send-mail", "final_result", "F", "a1", "_x", "-y", "x" * 64, "CamelCase"),
    *(
        "Bash",
        "Read",
        "Task",
        "WebSearch",
        "ToolSearch",
        "mcp__github__create_issue",
        "StructuredOutput",
        "str_replace",
    ),
)
_UNUSUAL_TOOL_NAMES = (
    "github.create_issue",
    "fs/read",
    "a:b",
    "get weather",
    "naïve",
    "工具",
    "weather.get",
    "y" * 65,
    "a.b.c-d",
)
_PROPERTY_NAMES = ("city", "query", "file_path", "x", "type", "properties", "a.b", "n-1", "default", "required")
_UNUSUAL_PROPERTY_NAMES = (
    "filter[id]",
    "$select",
    "Account Number",
    "город",
    "名前",
    "p" * 65,
    "a/b",
    "e\u0301",
    "user@host",
)
# Many results of this length stay below the limit of a model.
_MAX_RESULT_CHARS = 30_000
_SCALAR_TYPES = ("string", "number", "integer", "boolean")


def make_random_job(seed: int, dialect: Dialect) -> Job:
    random = Random(f"{dialect} {seed}")
    tools = _random_tools(random)
    model = NEWEST_MODEL if random.random() < 0.15 else random.choice(OLDER_MODELS)
    parameters = _random_parameters(random, dialect, model, tools)
    return Job(
        dialect,
        model,
        _random_turns(random, dialect, tools, parameters),
        tuple(random_system_prompt(random) for _ in range(random.choice((0, 1, 1, 2)))),
        tools,
        parameters,
        stream=random.random() < 0.5,
        variant_bits=random.getrandbits(30),
    )


def random_question(seed: int) -> str:
    """Return the client's next question in the job's conversation."""
    return random_text(Random(f"question {seed}"))


def _random_tools(rng: Random) -> tuple[Tool, ...]:
    number = rng.choice((0, 0, 1, 2, 3, 8))
    names = rng.sample(_TOOL_NAMES, number)
    if number and rng.random() < 0.4:
        names[rng.randrange(number)] = rng.choice(_UNUSUAL_TOOL_NAMES)
    return tuple(Tool(name, random_description(rng), _random_root_schema(rng)) for name in names)


def _random_root_schema(rng: Random) -> dict[str, Any]:
    properties = {name: _random_schema(rng, 2) for name in rng.sample(_PROPERTY_NAMES, rng.randint(0, 4))}
    if rng.random() < 0.25:
        properties[rng.choice(_UNUSUAL_PROPERTY_NAMES)] = {"type": "string"}
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    if properties and rng.random() < 0.6:
        schema["required"] = rng.sample(sorted(properties), rng.randint(1, len(properties)))
    if rng.random() < 0.4:
        schema["additionalProperties"] = rng.choice((False, True))
    if rng.random() < 0.2:
        schema["$schema"] = "http://json-schema.org/draft-07/schema#"
    if rng.random() < 0.2:
        schema["description"] = random_text(rng)
    if rng.random() < 0.15:
        schema["$defs"] = {"Item": _random_schema(rng, 1)}
        properties["item"] = {"$ref": "#/$defs/Item"}
    if properties and rng.random() < 0.1:
        schema[rng.choice(("anyOf", "oneOf"))] = [{"required": [name]} for name in sorted(properties)[:2]]
    items = list(schema.items())
    if rng.random() < 0.3:
        rng.shuffle(items)
    return dict(items)


def _random_schema(rng: Random, depth: int) -> dict[str, Any]:
    kind = rng.random()
    schema: dict[str, Any]
    if depth and kind < 0.15:
        inner = {name: _random_schema(rng, depth - 1) for name in rng.sample(_PROPERTY_NAMES, 2)}
        schema = {"type": "object", "properties": inner, "additionalProperties": False}
    elif depth and kind < 0.3:
        schema = {"type": "array", "items": _random_schema(rng, depth - 1), "minItems": 1}
    elif kind < 0.45:
        schema = {"type": "string", "enum": [random_text(rng) for _ in range(rng.randint(1, 4))]}
    elif kind < 0.55:
        schema = {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None}
    elif kind < 0.6:
        schema = {"type": ["string", "null"], "pattern": "^[a-z\\u00e9]+$"}
    else:
        schema = {"type": rng.choice(_SCALAR_TYPES)}
        if schema["type"] == "integer":
            schema |= {"minimum": 0, "maximum": rng.choice((10, 2**31, 2**53 - 1))}
        if schema["type"] == "number" and rng.random() < 0.5:
            schema |= {"exclusiveMinimum": 0.5, "default": 1.25}
    if rng.random() < 0.5:
        schema["description"] = random_text(rng)
    return schema


def _random_parameters(rng: Random, dialect: Dialect, model: str, tools: Sequence[Tool]) -> Parameters:
    values: dict[str, Any] = {}
    if rng.random() < 0.7 or dialect == "messages":
        values["max_tokens"] = rng.choice((1_000, 4_096, 8_192, 20_000))
    if model != NEWEST_MODEL and dialect != "responses" and rng.random() < 0.2 and values.get("max_tokens", 0) > 3_000:
        values["thinking_budget_tokens"] = rng.choice((1_024, 2_048))
    elif model != NEWEST_MODEL:
        sampling = rng.choice(("", "", "temperature", "top_p"))
        if sampling:
            values[sampling] = rng.choice((0, 0.2, 0.7, 1))
        if dialect != "responses" and rng.random() < 0.2:
            values["top_k"] = rng.choice((1, 40))
    if dialect != "responses" and rng.random() < 0.3:
        stops = ["STOP", "\n\nHuman:", "</end>", "终", "e\u0301"]
        values["stop"] = tuple(rng.sample(stops, rng.randint(1, 3)))
    if tools and rng.random() < 0.5:
        choices = ["auto", "none"]
        if "thinking_budget_tokens" not in values and model != NEWEST_MODEL:
            choices += ["any", f"tool:{rng.choice(tools).name}"]
        values["tool_choice"] = rng.choice(choices)
    if tools and dialect != "gemini" and rng.random() < 0.3:
        values["parallel_tool_calls"] = rng.choice((True, False))
    return Parameters(**values)


def _random_turns(rng: Random, dialect: Dialect, tools: Sequence[Tool], parameters: Parameters) -> tuple[Turn, ...]:
    turns: list[Turn] = [Turn("user", _random_user_parts(rng))]
    for _ in range(rng.choice((0, 0, 1, 2, 4))):
        if tools and rng.random() < 0.6:
            turns += _random_tool_turns(rng, dialect, tools, len(turns), parameters)
        else:
            turns.append(Turn("assistant", _random_reply_parts(rng, dialect)))
            turns.append(Turn("user", _random_user_parts(rng)))
    return tuple(turns)


def _random_tool_turns(
    rng: Random, dialect: Dialect, tools: Sequence[Tool], turn_index: int, parameters: Parameters
) -> list[Turn]:
    """Return an assistant turn with calls, and a user turn with their results and sometimes a text behind them."""
    prefix = rng.choice(("call_", "toolu_", "fc-")) if dialect != "gemini" else "call_"
    calls = []
    for index in range(rng.choice((1, 1, 2, 3))):
        tool = rng.choice(tools)
        calls.append(ToolCall(f"{prefix}{turn_index}_{index}", tool.name, _random_arguments(rng, tool.schema)))
    before: list[Part] = []
    # With a budget, thinking must precede calls with results; the other dialects cannot carry such thinking.
    if dialect == "messages" and (parameters.thinking_budget_tokens or rng.random() < 0.2):
        thinking = random_text(rng)
        before.append(ThinkingBlock(thinking, compute_thinking_signature(thinking)))
    if rng.random() < 0.5:
        before.append(Text(random_text(rng)))
    calls_in_result_order = list(calls) if dialect == "gemini" else rng.sample(calls, len(calls))
    results: list[Part] = [
        ToolResult(call, _random_result_parts(rng, dialect), _is_error(rng, dialect)) for call in calls_in_result_order
    ]
    results = [_make_valid_result(result) for result in results]
    turns = [Turn("assistant", (*before, *calls))]
    behind = (Text(random_text(rng)),) if rng.random() < 0.3 and dialect != "gemini" else ()
    turns.append(Turn("user", (*results, *behind)))
    return turns


def _is_error(rng: Random, dialect: Dialect) -> bool:
    return dialect == "messages" and rng.random() < 0.2


def _make_valid_result(part: Part) -> Part:
    """Keep only the texts of a failed result, because the API accepts nothing else in it."""
    if isinstance(part, ToolResult) and part.is_error:
        texts = tuple(inner for inner in part.parts if isinstance(inner, Text)) or (Text("it failed"),)
        return ToolResult(part.call, texts, is_error=True)
    return part


def _random_result_parts(rng: Random, dialect: Dialect) -> tuple[Text | Image, ...]:
    kind = rng.random()
    if kind < 0.1 and dialect != "gemini":
        return ()
    if kind < 0.2 and dialect in ("messages", "responses"):
        return (Text(random_text(rng)), _random_image(rng))
    if kind < 0.3:
        return (Text((random_text(rng) * rng.choice((1, 50, 300)))[:_MAX_RESULT_CHARS]),)
    return (Text(random_text(rng)),)


def _random_user_parts(rng: Random) -> tuple[Part, ...]:
    parts: list[Part] = [Text(random_text(rng)) for _ in range(rng.choice((1, 1, 1, 2, 3)))]
    if rng.random() < 0.2:
        parts.insert(rng.randint(0, len(parts)), _random_image(rng))
    return tuple(parts)


def _random_reply_parts(rng: Random, dialect: Dialect) -> tuple[Part, ...]:
    parts: tuple[Part, ...] = tuple(Text(random_text(rng)) for _ in range(rng.choice((1, 1, 2))))
    if dialect == "messages" and rng.random() < 0.2:
        thinking = random_text(rng)
        parts = (ThinkingBlock(thinking, compute_thinking_signature(thinking)), *parts)
    return parts


def _random_arguments(rng: Random, schema: Mapping[str, Any]) -> dict[str, Any]:
    names = list(schema.get("properties", {}))
    selected = rng.sample(names, rng.randint(0, len(names)))
    return {name: _random_value(rng, 2) for name in selected}


def _random_value(rng: Random, depth: int) -> Any:
    kind = rng.random()
    if depth and kind < 0.15:
        return {rng.choice((random_words(rng, 1), "é", "ＡＢ")): _random_value(rng, depth - 1) for _ in range(2)}
    if depth and kind < 0.3:
        return [_random_value(rng, depth - 1) for _ in range(rng.randint(0, 3))]
    if kind < 0.7:
        return random_text(rng)
    return rng.choice((0, -1, 2**31, 2**53 - 1, 0.1, 1.5e-7, 1e21, True, False, None, ""))


def _random_image(rng: Random) -> Image:
    """Return a PNG of one pixel with a random colour."""
    pixel = bytes((0, *(rng.randrange(256) for _ in range(3))))
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(pixel)),
        (b"IEND", b""),
    )
    raw = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return Image("image/png", b64encode(raw).decode())
