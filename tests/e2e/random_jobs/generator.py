"""Random jobs from a seed: the same seed makes the same job."""

import struct
import zlib
from base64 import b64encode
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from claude_gateway.demo.thoughts import sign
from tests.e2e.random_jobs.job import (
    Call,
    Dialect,
    Job,
    Parameters,
    Part,
    Picture,
    Result,
    Text,
    Thought,
    Tool,
    Turn,
)
from tests.e2e.random_jobs.texts import description, system, text, words

# What takes sampling parameters and budgets, and what takes neither.
OLDER = ("claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001")
NEWEST = "claude-opus-5-5"

_NAMES = (
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
_ODD_NAMES = (
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
_PROPERTIES = ("city", "query", "file_path", "x", "type", "properties", "a.b", "n-1", "default", "required")
_ODD_PROPERTIES = ("filter[id]", "$select", "Account Number", "город", "名前", "p" * 65, "a/b", "e\u0301", "user@host")
# Many of them stay below what a model takes.
_MAX_RESULT = 30_000
_SCALARS = ("string", "number", "integer", "boolean")


def random_job(seed: int, dialect: Dialect) -> Job:
    random = Random(f"{dialect} {seed}")
    tools = _tools(random)
    model = NEWEST if random.random() < 0.15 else random.choice(OLDER)
    parameters = _parameters(random, dialect, model, tools)
    return Job(
        dialect,
        model,
        _turns(random, dialect, tools, parameters),
        tuple(system(random) for _ in range(random.choice((0, 1, 1, 2)))),
        tools,
        parameters,
        stream=random.random() < 0.5,
        wording=random.getrandbits(30),
    )


def question(seed: int) -> str:
    """What the client says next in the job's conversation."""
    return text(Random(f"question {seed}"))


def _tools(random: Random) -> tuple[Tool, ...]:
    number = random.choice((0, 0, 1, 2, 3, 8))
    names = random.sample(_NAMES, number)
    if number and random.random() < 0.4:
        names[random.randrange(number)] = random.choice(_ODD_NAMES)
    return tuple(Tool(name, description(random), _root_schema(random)) for name in names)


def _root_schema(random: Random) -> dict[str, Any]:
    properties = {name: _schema(random, 2) for name in random.sample(_PROPERTIES, random.randint(0, 4))}
    if random.random() < 0.25:
        properties[random.choice(_ODD_PROPERTIES)] = {"type": "string"}
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    if properties and random.random() < 0.6:
        schema["required"] = random.sample(sorted(properties), random.randint(1, len(properties)))
    if random.random() < 0.4:
        schema["additionalProperties"] = random.choice((False, True))
    if random.random() < 0.2:
        schema["$schema"] = "http://json-schema.org/draft-07/schema#"
    if random.random() < 0.2:
        schema["description"] = text(random)
    if random.random() < 0.15:
        schema["$defs"] = {"Item": _schema(random, 1)}
        properties["item"] = {"$ref": "#/$defs/Item"}
    if properties and random.random() < 0.1:
        schema[random.choice(("anyOf", "oneOf"))] = [{"required": [name]} for name in sorted(properties)[:2]]
    items = list(schema.items())
    if random.random() < 0.3:
        random.shuffle(items)
    return dict(items)


def _schema(random: Random, depth: int) -> dict[str, Any]:
    kind = random.random()
    schema: dict[str, Any]
    if depth and kind < 0.15:
        inner = {name: _schema(random, depth - 1) for name in random.sample(_PROPERTIES, 2)}
        schema = {"type": "object", "properties": inner, "additionalProperties": False}
    elif depth and kind < 0.3:
        schema = {"type": "array", "items": _schema(random, depth - 1), "minItems": 1}
    elif kind < 0.45:
        schema = {"type": "string", "enum": [text(random) for _ in range(random.randint(1, 4))]}
    elif kind < 0.55:
        schema = {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None}
    elif kind < 0.6:
        schema = {"type": ["string", "null"], "pattern": "^[a-z\\u00e9]+$"}
    else:
        schema = {"type": random.choice(_SCALARS)}
        if schema["type"] == "integer":
            schema |= {"minimum": 0, "maximum": random.choice((10, 2**31, 2**53 - 1))}
        if schema["type"] == "number" and random.random() < 0.5:
            schema |= {"exclusiveMinimum": 0.5, "default": 1.25}
    if random.random() < 0.5:
        schema["description"] = text(random)
    return schema


def _parameters(random: Random, dialect: Dialect, model: str, tools: Sequence[Tool]) -> Parameters:
    chosen: dict[str, Any] = {}
    if random.random() < 0.7 or dialect == "messages":
        chosen["max_tokens"] = random.choice((1_000, 4_096, 8_192, 20_000))
    if model != NEWEST and dialect != "responses" and random.random() < 0.2 and chosen.get("max_tokens", 0) > 3_000:
        chosen["budget"] = random.choice((1_024, 2_048))
    elif model != NEWEST:
        sampling = random.choice(("", "", "temperature", "top_p"))
        if sampling:
            chosen[sampling] = random.choice((0, 0.2, 0.7, 1))
        if dialect != "responses" and random.random() < 0.2:
            chosen["top_k"] = random.choice((1, 40))
    if dialect != "responses" and random.random() < 0.3:
        stops = ["STOP", "\n\nHuman:", "</end>", "终", "e\u0301"]
        chosen["stop"] = tuple(random.sample(stops, random.randint(1, 3)))
    if tools and random.random() < 0.5:
        choices = [
            "auto",
            "none",
            *(() if "budget" in chosen or model == NEWEST else ("any", f"tool:{random.choice(tools).name}")),
        ]
        chosen["choice"] = random.choice(choices)
    if tools and dialect != "gemini" and random.random() < 0.3:
        chosen["parallel"] = random.choice((True, False))
    return Parameters(**chosen)


def _turns(random: Random, dialect: Dialect, tools: Sequence[Tool], parameters: Parameters) -> tuple[Turn, ...]:
    turns: list[Turn] = [Turn("user", _user_parts(random))]
    for _ in range(random.choice((0, 0, 1, 2, 4))):
        if tools and random.random() < 0.6:
            turns += _work(random, dialect, tools, len(turns), parameters)
        else:
            turns.append(Turn("assistant", _said(random, dialect)))
            turns.append(Turn("user", _user_parts(random)))
    return tuple(turns)


def _work(random: Random, dialect: Dialect, tools: Sequence[Tool], number: int, parameters: Parameters) -> list[Turn]:
    """Calls, and their results, with words behind them or not."""
    prefix = random.choice(("call_", "toolu_", "fc-")) if dialect != "gemini" else "call_"
    calls = []
    for index in range(random.choice((1, 1, 2, 3))):
        tool = random.choice(tools)
        calls.append(Call(f"{prefix}{number}_{index}", tool.name, _arguments(random, tool.schema)))
    before: list[Part] = []
    # A budget demands a thought in front of calls that were just answered; other dialects cannot bring one along.
    if dialect == "messages" and (parameters.budget or random.random() < 0.2):
        thinking = text(random)
        before.append(Thought(thinking, sign(thinking)))
    if random.random() < 0.5:
        before.append(Text(text(random)))
    answered = list(calls) if dialect == "gemini" else random.sample(calls, len(calls))
    results: list[Part] = [Result(call, _result_parts(random, dialect), _failed(random, dialect)) for call in answered]
    results = [_legal(result) for result in results]
    turns = [Turn("assistant", (*before, *calls))]
    behind = (Text(text(random)),) if random.random() < 0.3 and dialect != "gemini" else ()
    turns.append(Turn("user", (*results, *behind)))
    return turns


def _failed(random: Random, dialect: Dialect) -> bool:
    return dialect == "messages" and random.random() < 0.2


def _legal(part: Part) -> Part:
    """The API takes words alone from a tool that failed."""
    if isinstance(part, Result) and part.failed:
        words = tuple(one for one in part.parts if isinstance(one, Text)) or (Text("it failed"),)
        return Result(part.call, words, failed=True)
    return part


def _result_parts(random: Random, dialect: Dialect) -> tuple[Text | Picture, ...]:
    kind = random.random()
    if kind < 0.1 and dialect != "gemini":
        return ()
    if kind < 0.2 and dialect in ("messages", "responses"):
        return (Text(text(random)), _picture(random))
    if kind < 0.3:
        return (Text((text(random) * random.choice((1, 50, 300)))[:_MAX_RESULT]),)
    return (Text(text(random)),)


def _user_parts(random: Random) -> tuple[Part, ...]:
    parts: list[Part] = [Text(text(random)) for _ in range(random.choice((1, 1, 1, 2, 3)))]
    if random.random() < 0.2:
        parts.insert(random.randint(0, len(parts)), _picture(random))
    return tuple(parts)


def _said(random: Random, dialect: Dialect) -> tuple[Part, ...]:
    said: tuple[Part, ...] = tuple(Text(text(random)) for _ in range(random.choice((1, 1, 2))))
    if dialect == "messages" and random.random() < 0.2:
        thinking = text(random)
        said = (Thought(thinking, sign(thinking)), *said)
    return said


def _arguments(random: Random, schema: Mapping[str, Any]) -> dict[str, Any]:
    names = list(schema.get("properties", {}))
    chosen = random.sample(names, random.randint(0, len(names)))
    return {name: _value(random, 2) for name in chosen}


def _value(random: Random, depth: int) -> Any:
    kind = random.random()
    if depth and kind < 0.15:
        return {random.choice((words(random, 1), "é", "ＡＢ")): _value(random, depth - 1) for _ in range(2)}
    if depth and kind < 0.3:
        return [_value(random, depth - 1) for _ in range(random.randint(0, 3))]
    if kind < 0.7:
        return text(random)
    return random.choice((0, -1, 2**31, 2**53 - 1, 0.1, 1.5e-7, 1e21, True, False, None, ""))


def _picture(random: Random) -> Picture:
    """A PNG of one pixel, of some colour."""
    pixel = bytes((0, *(random.randrange(256) for _ in range(3))))
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(pixel)),
        (b"IEND", b""),
    )
    raw = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return Picture("image/png", b64encode(raw).decode())
