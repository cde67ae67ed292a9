"""What the stand-in answers, decided by directives in the last user message. Pure.

Without a directive it echoes. Directives stand anywhere in the text as ``{{name arguments}}``:

====================  =========================================================================
``{{say TEXT}}``      answer TEXT instead of the echo
``{{again TEXT}}``    answer TEXT to the next turn, if that has no directive of its own
``{{deltas N}}``      answer N numbered words
``{{stamps N}}``      answer N deltas, each the time it was sent: nanoseconds of `time.monotonic_ns`
``{{big N}}``         answer one delta of N letters
``{{think TEXT}}``    a thinking block before the answer
``{{redact DATA}}``   a thought that only the model can read, before the answer
``{{tool NAME JSON}}``  a tool call after the answer; may be repeated
``{{delay S}}``       wait S seconds before the first event
``{{silence S}}``     wait S seconds between the head of the answer and its first delta
``{{pace S}}``        wait S seconds before each delta
``{{status N}}``      fail with status N; ``{{status 429 retry-after=7}}`` sends the header too
``{{message TEXT}}``    the message of that failure, in place of `scripted N`
``{{times N}}``       only the first N requests with this text fail, drop or lie
``{{drop N}}``        cut the connection after N deltas (of a streamed answer)
``{{break N}}``       an `error` event (overloaded) after N deltas
``{{lie KIND}}``      status 200 with something else than an answer: one of `claude_gateway.demo.lies`
``{{hang}}``          the head of the answer, then nothing for ever
``{{stop REASON}}``   end with this stop reason
``{{then}}``           what follows is the next answer, after the results of this one's calls; may be repeated
``{{usage K=N ...}}``  numbers for the usage: input, output, cache_read, cache_write, thinking
====================  =========================================================================
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import orjson

_DIRECTIVE = re.compile(r"\{\{(\w+)(?:\s+(.*?))?\}\}(?!\})", re.DOTALL)
_REMINDER = "<system-reminder>"
_THEN = "{{then}}"
_PIECE = re.compile(r"\s*\S+\s*")

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ToolCall:
    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Script:
    """One answer of the stand-in. Times in seconds; `drop`, `broken` count deltas; `times` 0 = always."""

    deltas: tuple[str, ...] = ()
    thinking: str = ""
    redacted: str = ""
    tools: tuple[ToolCall, ...] = ()
    delay: float = 0.0
    silence: float = 0.0
    pace: float = 0.0
    status: int = 200
    retry_after: str = ""
    message: str = ""
    times: int = 0
    drop: int | None = None
    broken: int | None = None
    hang: bool = False
    lie: str = ""
    stop_reason: str = ""
    usage: Mapping[str, int] = field(default_factory=dict)
    stamped: bool = False

    @property
    def text(self) -> str:
        return "".join(self.deltas)


def last_user_text(body: Body) -> str:
    """The text of the newest user turn, without the blocks that the CLI puts before and behind it."""
    return next(_user_texts(body), "")


def _user_texts(body: Body) -> Iterator[str]:
    """The newest first."""
    for message in reversed(body["messages"]):
        if message["role"] != "user":
            continue
        content = message["content"]
        if isinstance(content, str):
            yield content
            continue
        texts = [block["text"] for block in content if block["type"] == "text"]
        results = [block for block in content if block["type"] == "tool_result"]
        said = [text for text in texts if not text.startswith(_REMINDER)]
        if said or not results:
            yield str([*texts, *said][-1]) if texts else ""
        else:
            yield f"{len(results)} tool result(s){_directives_in(results)}"


def _step(body: Body) -> str:
    """Of a question that holds several answers, to be played one after another while tools run: the one whose turn it
    is; "" for any other question."""
    played = 0
    for message in reversed(body["messages"]):
        content = message["content"]
        if message["role"] == "assistant":
            played += 1
        elif message["role"] == "user":
            blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
            for block in blocks:
                if block["type"] == "text" and _THEN in block["text"]:
                    steps = block["text"].split(_THEN)
                    return str(steps[min(played, len(steps) - 1)])
            if not any(block["type"] == "tool_result" for block in blocks):
                return ""
    return ""


def _directives_in(value: Any) -> str:
    """The directives of a tool's results, so that one call can lead to the next."""
    match value:
        case {"type": "text", "text": str(text)} | {"type": "tool_result", "content": str(text)}:
            return "".join(match[0] for match in _DIRECTIVE.finditer(text))
        case {"type": "tool_result", "content": list(inner)} | list(inner):
            return "".join(map(_directives_in, inner))
    return ""


def plan(body: Body) -> Script:
    """The script for a Messages API request. Raises `ValueError` on a directive it cannot read."""
    text, before, *_ = [*islice(_user_texts(body), 2), "", ""]
    text = _step(body) or text
    chosen: dict[str, Any] = {"usage": {}, "tools": ()}
    directives = _DIRECTIVE.findall(text)
    for name, argument in directives:
        _apply(chosen, name, argument)
    again = dict(_DIRECTIVE.findall(before)).get("again")
    if again and not directives:
        chosen["deltas"] = _pieces(again)
    echo = _DIRECTIVE.sub("", text).strip()
    chosen.setdefault("deltas", _pieces(echo or "."))
    return Script(**chosen)


def _apply(chosen: dict[str, Any], name: str, argument: str) -> None:
    match name:
        case "say":
            chosen["deltas"] = _pieces(argument)
        case "again":
            pass  # for the turn after this one
        case "deltas":
            chosen["deltas"] = tuple(f"w{n} " for n in range(int(argument)))
        case "stamps":
            chosen["deltas"] = ("",) * int(argument)
            chosen["stamped"] = True
        case "big":
            chosen["deltas"] = ("x" * int(argument),)
        case "think":
            chosen["thinking"] = argument
        case "redact":
            chosen["redacted"] = argument
        case "tool":
            tool, _, arguments = argument.partition(" ")
            chosen["tools"] += (ToolCall(tool, orjson.loads(arguments or "{}")),)
        case "delay" | "silence" | "pace":
            chosen[name] = float(argument)
        case "status":
            status, _, header = argument.partition(" retry-after=")
            chosen["status"] = int(status)
            chosen["retry_after"] = header
        case "message":
            chosen["message"] = argument
        case "times" | "drop":
            chosen[name] = int(argument)
        case "break":
            chosen["broken"] = int(argument)
        case "hang":
            chosen["hang"] = True
        case "lie":
            chosen["lie"] = argument
        case "stop":
            chosen["stop_reason"] = argument
        case "usage":
            chosen["usage"] |= {k: int(v) for k, v in (pair.split("=") for pair in argument.split())}
        case _:
            raise ValueError(f"the stand-in knows no directive {name!r}")


def _pieces(text: str) -> tuple[str, ...]:
    return tuple(_PIECE.findall(text)) or (text,)
