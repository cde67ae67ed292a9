"""What the stand-in answers, decided by directives in the last user message. Pure.

Without a directive it echoes. Where the request has a schema and the text is no JSON, it answers the smallest JSON that
fits the schema.

Directives stand anywhere in the text as ``{{name arguments}}``:

=========================  ====================================================================
``{{say TEXT}}``           answer TEXT instead of the echo
``{{say_json JSON}}``      answer a JSON string with all its escapes, half a surrogate pair such as `"\\ud83d"` too,
                           which the events hold as the same escape; a list of strings is one delta each
``{{again TEXT}}``         answer TEXT to the next turn, if that has no directive of its own
``{{deltas N}}``           answer N numbered words
``{{stamps N}}``           answer N deltas, each the time it was sent: nanoseconds of `time.monotonic_ns`
``{{big N}}``              answer one delta of N letters
``{{empty}}``              no text block: `end_turn` with `content: []`, or with the thoughts and calls alone
                           that `think`, `redact` and `tool` add
``{{blank JSON}}``         a text block with this JSON string of white space alone; `"\\n\\n"` without one.
                           `{{blank ""}}` opens and closes a text block that has no delta
``{{think TEXT}}``         a thinking block before the answer
``{{think_json JSON}}``    a thinking block as `say_json` has texts
``{{redact DATA}}``        a thought that only the model can read, before the answer
``{{tool NAME JSON}}``     a tool call after the answer; may be repeated. Integers of any length and half surrogate
                           pairs stay what they are; the client need not have offered the tool
``{{tool_raw NAME TEXT}}`` a tool call with TEXT as its arguments to the byte, which may be no whole JSON;
                           a JSON list of strings is one delta each
``{{fine}}``               thoughts and arguments come in many small deltas too, at the `pace` of the text
``{{delay S}}``            wait S seconds before the first event
``{{silence S}}``          wait S seconds between the head of the answer and its first delta
``{{pace S}}``             wait S seconds before each delta
``{{status N}}``           fail with status N; ``{{status 429 retry-after=7}}`` sends the header too
``{{message TEXT}}``       the message of that failure, in place of `scripted N`
``{{window N}}``           the model's context window is N tokens for this request
``{{too_long}}``           fail with 400 and "prompt is too long: N tokens > M maximum"
``{{agent OPTIONS}}``      work as a coding agent for dozens of turns: `claude_gateway.demo.agent`
``{{times N}}``            only the first N requests with this text fail, drop, end early or lie
``{{drop N}}``             cut the connection after N deltas (of a streamed answer)
``{{break N}}``            an `error` event (overloaded) after N deltas
``{{cut STAGE}}``          cut the connection when the stream has come to STAGE, one of `STAGES`
``{{end STAGE}}``          end the body there as if it were whole, without a word
``{{error STAGE}}``        an `error` event (overloaded) there, and the end of the body
``{{lie KIND}}``           status 200 with something else than an answer: one of `claude_gateway.demo.lies`
``{{hang}}``               the head of the answer, then nothing for ever
``{{stop REASON}}``        end with this stop reason; ``{{stop stop_sequence END}}`` names the sequence too
``{{then}}``               what follows is the next answer, after the results of this one's calls; may be repeated
``{{usage K=N ...}}``      numbers for the usage: input, output, cache_read, cache_write, thinking
=========================  ====================================================================
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Literal

import orjson

from claude_gateway.demo.exact_json import dumps, loads_loosely
from claude_gateway.demo.schema_instance import smallest

# How far a stream has come, in order. `nothing` is the response's headers alone, `thought`, `text` and `call` are the
# first delta of each (of a call that comes in one delta: the first half of its arguments), `content` is the end of the
# last block, `delta` is `message_delta`, and `stop` is `message_stop`.
STAGES = (
    "nothing",
    "head",
    "thought_start",
    "thought",
    "signature",
    "thought_end",
    "text_start",
    "text",
    "text_end",
    "call_start",
    "call",
    "call_end",
    "content",
    "delta",
    "stop",
)
_DIRECTIVE = re.compile(r"\{\{(\w+)(?:\s+(.*?))?\}\}(?!\})", re.DOTALL)
TOO_LONG = "prompt is too long: 213462 tokens > 200000 maximum"
_REMINDER = "<system-reminder>"
_THEN = "{{then}}"
_PIECE = re.compile(r"\s*\S+\s*")

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool call; `fragments` are its arguments to the byte, one a delta, where they are not plainly `arguments`."""

    name: str
    arguments: Mapping[str, Any]
    fragments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EarlyEnd:
    """The stream ends at `stage`: the connection is cut, the body ends, or an error event ends it."""

    how: Literal["cut", "end", "error"]
    stage: str


@dataclass(frozen=True, slots=True)
class Script:
    """One answer of the stand-in. Times in seconds; `drop`, `broken` count deltas; `times` 0 = always.

    `wordless` answers have no text block. `thinking_deltas` are the pieces of `thinking` where they are scripted.
    `first` is played instead at the first request with this `key`.
    """

    deltas: tuple[str, ...] = ()
    wordless: bool = False
    thinking: str = ""
    thinking_deltas: tuple[str, ...] = ()
    redacted: str = ""
    tools: tuple[ToolCall, ...] = ()
    fine: bool = False
    delay: float = 0.0
    silence: float = 0.0
    pace: float = 0.0
    status: int = 200
    status_message: str = ""
    retry_after: str = ""
    times: int = 0
    drop: int | None = None
    broken: int | None = None
    early: EarlyEnd | None = None
    hang: bool = False
    lie: str = ""
    stop_reason: str = ""
    stop_sequence: str = ""
    usage: Mapping[str, int] = field(default_factory=dict)
    stamped: bool = False
    window: int = 0
    is_echo: bool = False
    key: str = ""
    first: "Script | None" = None

    @property
    def text(self) -> str:
        return "".join(self.deltas)

    def ends_at(self, stage: str) -> bool:
        return self.early is not None and self.early.stage == stage


def has_directives(text: str) -> bool:
    return _DIRECTIVE.search(text) is not None


def last_user_text(body: Body) -> str:
    """The text of the newest user turn, without the blocks that the CLI puts before and behind it."""
    return next(user_texts(body), "")


def user_texts(body: Body) -> Iterator[str]:
    """The text of each user turn, the newest first."""
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


def _is_json(text: str) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def plan(body: Body) -> Script:
    """The script for a Messages API request. Raises `ValueError` on a directive it cannot read."""
    text, before, *_ = [*islice(user_texts(body), 2), "", ""]
    text = _step(body) or text
    chosen: dict[str, Any] = {"usage": {}, "tools": ()}
    directives = _DIRECTIVE.findall(text)
    for name, argument in directives:
        _apply(chosen, name, argument)
    again = dict(_DIRECTIVE.findall(before)).get("again")
    if again and not directives:
        chosen["deltas"] = pieces_of(again)
    format_ = (body.get("output_config") or {}).get("format") or {}
    echo = _DIRECTIVE.sub("", text).strip()
    if format_.get("type") == "json_schema" and not directives and not again and not _is_json(echo):
        chosen["deltas"] = (dumps(smallest(format_.get("schema"))).decode(),)
    if "deltas" not in chosen:
        chosen |= {"deltas": pieces_of(echo or "."), "is_echo": True}
    return Script(**chosen)


def ending_at(most: int, script: Script) -> Script:
    """The script where so many tokens are left of the context window, at whose end the answer stops.

    An echo is no answer of a model's, and as long as its prompt.
    """
    if len(script.deltas) <= most or script.is_echo:
        return script
    return replace(script, deltas=script.deltas[:most], tools=(), stop_reason="model_context_window_exceeded")


def _apply(chosen: dict[str, Any], name: str, argument: str) -> None:
    match name:
        case "say":
            chosen["deltas"] = pieces_of(argument)
        case "say_json":
            chosen["deltas"] = _json_pieces(argument)
        case "empty":
            chosen |= {"deltas": (), "wordless": True}
        case "blank":
            text = loads_loosely(argument or r'"\n\n"')
            chosen["deltas"] = (text,) if text else ()
        case "again" | "agent":
            pass  # not for this turn
        case "deltas":
            chosen["deltas"] = tuple(f"w{n} " for n in range(int(argument)))
        case "stamps":
            chosen["deltas"] = ("",) * int(argument)
            chosen["stamped"] = True
        case "big":
            chosen["deltas"] = ("x" * int(argument),)
        case "think":
            chosen["thinking"] = argument
        case "think_json":
            chosen["thinking_deltas"] = _json_pieces(argument)
            chosen["thinking"] = "".join(chosen["thinking_deltas"])
        case "redact":
            chosen["redacted"] = argument
        case "tool":
            tool, _, arguments = argument.partition(" ")
            chosen["tools"] += (ToolCall(tool, loads_loosely(arguments or "{}")),)
        case "tool_raw":
            tool, _, arguments = argument.partition(" ")
            chosen["tools"] += (_raw_call(tool, arguments),)
        case "fine":
            chosen["fine"] = True
        case "delay" | "silence" | "pace":
            chosen[name] = float(argument)
        case "status":
            status, _, header = argument.partition(" retry-after=")
            chosen["status"] = int(status)
            chosen["retry_after"] = header
        case "message":
            chosen["status_message"] = argument
        case "too_long":
            chosen |= {"status": 400, "status_message": TOO_LONG}
        case "times" | "drop" | "window":
            chosen[name] = int(argument)
        case "break":
            chosen["broken"] = int(argument)
        case "cut" | "end" | "error":
            if argument not in STAGES:
                raise ValueError(f"a stream has no stage {argument!r}, only {', '.join(STAGES)}")
            chosen["early"] = EarlyEnd(name, argument)
        case "hang":
            chosen["hang"] = True
        case "lie":
            chosen["lie"] = argument
        case "stop":
            chosen["stop_reason"], _, chosen["stop_sequence"] = argument.partition(" ")
        case "usage":
            chosen["usage"] |= {k: int(v) for k, v in (pair.split("=") for pair in argument.split())}
        case _:
            raise ValueError(f"the stand-in knows no directive {name!r}")


def _json_pieces(argument: str) -> tuple[str, ...]:
    """A list of strings is cut as it stands, a string into words."""
    match loads_loosely(argument):
        case str(text):
            return pieces_of(text)
        case list(pieces) if all(isinstance(piece, str) for piece in pieces):
            return tuple(pieces)
    raise ValueError(f"neither a JSON string nor a list of strings: {argument[:40]!r}")


def _raw_call(name: str, text: str) -> ToolCall:
    try:
        value = loads_loosely(text)
    except ValueError:
        return ToolCall(name, {}, (text,))
    if isinstance(value, list) and value and all(isinstance(fragment, str) for fragment in value):
        whole = _raw_call(name, "".join(value))
        return ToolCall(name, whole.arguments, tuple(value))
    return ToolCall(name, value if isinstance(value, dict) else {}, (text,))


def pieces_of(text: str) -> tuple[str, ...]:
    return tuple(_PIECE.findall(text)) or (text,)
