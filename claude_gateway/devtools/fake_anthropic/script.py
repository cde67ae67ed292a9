r"""Functions that parse the directives in a prompt into a script for the reply of the fake API. Does no I/O.

The fake API reads the directives in the last user message. If this message contains no directive, the reply repeats the
text of the message. However, if the request has an output schema and the message is not JSON, the reply is the smallest
valid value of the schema.

A directive has the form ``{{name arguments}}`` and can be anywhere in the message:

=========================  ====================================================================
``{{say TEXT}}``           reply with TEXT
``{{say_json JSON}}``      reply with the text of a JSON string. The string can contain lone surrogates such as
                           `"\ud83d"`, and the events then contain the same escapes. If JSON is a list of strings, each
                           string is one delta
``{{again TEXT}}``         reply with TEXT to the next user message, if that message contains no directive
``{{deltas N}}``           reply with N numbered words, each in its own delta
``{{stamps N}}``           reply with N deltas. The text of each delta is the time at which the server sends the delta,
                           in nanoseconds of `time.monotonic_ns`
``{{big N}}``              reply with one delta of N characters
``{{empty}}``              reply without a text block. The reply contains only the blocks that `think`, `redact` and
                           `tool` add, or no block
``{{blank JSON}}``         reply with a text block whose text is this JSON string of white space. The default is
                           `"\n\n"`. After `{{blank ""}}` the text block has no delta
``{{think TEXT}}``         add a thinking block before the text
``{{think_json JSON}}``    add a thinking block before the text. JSON has the same form as in `say_json`
``{{redact DATA}}``        add a redacted thinking block before the text
``{{tool NAME JSON}}``     add a tool call after the text. A message can contain this directive several times. The
                           arguments can contain integers of any length and lone surrogates. The request need not define
                           the tool
``{{tool_raw NAME TEXT}}`` add a tool call whose arguments are exactly TEXT, which can be incomplete JSON. If TEXT is a
                           JSON list of strings, each string is one delta
``{{fine}}``               split thinking and tool arguments into many small deltas, and wait before each of these
                           deltas as `pace` says
``{{delay S}}``            wait S seconds before the first event
``{{silence S}}``          wait S seconds between the start of the message and its first delta
``{{pace S}}``             wait S seconds before each delta
``{{status N}}``           fail with the HTTP status N. ``{{status 429 retry-after=7}}`` also sets the header
                           `retry-after`
``{{message TEXT}}``       use TEXT as the error message of a `status` directive. The default is `scripted N`
``{{window N}}``           set the context window of the model to N tokens for this request
``{{too_long}}``           fail with status 400 and the message "prompt is too long: N tokens > M maximum"
``{{agent OPTIONS}}``      reply as a coding agent for dozens of turns. The module `coding_agent` describes the options
``{{times N}}``            apply the scripted fault only to the first N requests with this text
``{{drop N}}``             close the connection after N deltas of a stream
``{{break N}}``            send an `error` event (overloaded) after N deltas
``{{cut STAGE}}``          close the connection when the stream reaches STAGE, one of `STAGES`
``{{end STAGE}}``          end the response body without an error when the stream reaches STAGE
``{{error STAGE}}``        send an `error` event (overloaded) and end the response body when the stream reaches STAGE
``{{lie KIND}}``           send status 200 with a body that is not a reply. KIND is one of `malformed.MALFORMED_KINDS`
``{{hang}}``               send the start of the message and then nothing more, but keep the connection open
``{{stop REASON}}``        end the reply with this stop reason. ``{{stop stop_sequence END}}`` also sets the stop
                           sequence END
``{{then}}``               separate several replies in one message. The fake API sends the first part as the reply to
                           the message, and each later part as the reply to the results of tool calls
``{{usage K=N ...}}``      report these token numbers: input, output, cache_read, cache_write, thinking
``{{limits WINDOW=STATUS,SHARE,SECONDS ...}}``
                           report these limits of a subscription in the response headers. ``{{limits
                           five_hour=rejected,1,3600 seven_day=allowed,0.4,86400}}`` reports a rejected window of five
                           hours that ends in an hour, and a window of a week of which 40 % are used. If a window is
                           rejected, the status is 429
=========================  ====================================================================
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Literal

import orjson

from claude_gateway.devtools.fake_anthropic.exact_json import dumps, loads_lenient
from claude_gateway.devtools.fake_anthropic.limit_headers import ScriptedWindow, parse_windows
from claude_gateway.devtools.fake_anthropic.schema_instance import smallest_instance

# The stages of a stream in the order in which the stream reaches them. The stream reaches `nothing` after the response
# headers, `head` after the event `message_start`, and `thought`, `text` or `call` after the first delta of a block of
# this kind. If a tool call has only one delta, the stream reaches `call` after the first half of this delta. It reaches
# `content` after the end of the last block, `delta` after `message_delta`, and `stop` after `message_stop`.
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
TOO_LONG_MESSAGE = "prompt is too long: 213462 tokens > 200000 maximum"
_SYSTEM_REMINDER = "<system-reminder>"
_THEN_DIRECTIVE = "{{then}}"
_WORD = re.compile(r"\s*\S+\s*")

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ScriptedToolCall:
    """A tool call that a scripted reply contains.

    Attributes:
        name: The name of the tool.
        arguments: The arguments of the call.
        fragments: The exact text of the arguments, as one string for each delta; empty if the fake API encodes
            `arguments` as JSON.
    """

    name: str
    arguments: Mapping[str, Any]
    fragments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StreamInterruption:
    """A scripted fault that ends a stream early.

    Attributes:
        kind: The way in which the stream ends. The server closes the connection (`cut`), ends the response body
            (`end`), or sends an error event and then ends the response body (`error`).
        stage: The stage at which the stream ends, one of `STAGES`.
    """

    kind: Literal["cut", "end", "error"]
    stage: str


@dataclass(frozen=True, slots=True)
class Script:
    """Description of one reply that the fake API sends, and of the faults of this reply.

    Attributes:
        deltas: The fragments of the text, one for each delta.
        omit_text: Whether the reply contains no text block.
        thinking: The text of the thinking block; "" if the reply contains no thinking block.
        thinking_deltas: The fragments of the thinking, one for each delta; empty if the script does not set them.
        redacted_thinking: The data of the redacted thinking block; "" if the reply contains no such block.
        tool_calls: The tool calls after the text.
        small_deltas: Whether the fake API splits thinking and tool arguments into many small deltas.
        delay_seconds: The time that the fake API waits before the first event.
        silence_seconds: The time that the fake API waits between the start of the message and the first delta.
        pace_seconds: The time that the fake API waits before each delta.
        status: The HTTP status of the response.
        status_message: The error message if the status is not 200; "" for a default message.
        retry_after: The value of the response header `retry-after` if the status is not 200; "" for no header.
        fault_count: The number of requests to which the scripted fault applies; 0 if the fault applies to all requests.
        disconnect_after: The number of deltas after which the server closes the connection; None if the server does not
            close it.
        error_after: The number of deltas after which the server sends an error event; None if the server sends none.
        interruption: The fault that ends the stream early; None if the stream has no such fault.
        hang: Whether the server sends nothing more after the start of the message.
        malformed: The kind of malformed response that replaces the reply; "" if the response contains the reply.
        stop_reason: The stop reason; "" if the fake API derives the stop reason from the reply.
        stop_sequence: The stop sequence; "" if the reply has no stop sequence.
        usage: Numbers of tokens. They replace the numbers that the fake API has counted.
        windows: The windows of a subscription that the response headers report; empty if they report no windows.
        timestamped: Whether the text of each delta is the time at which the server sends the delta.
        context_window: The context window of the model, in tokens; 0 for the default size.
        is_echo: Whether the reply repeats the text of the user message.
        attempt_key: A name. The server counts the requests whose scripts have the same name; "" if the server counts
            the requests that have the same user message.
        first_attempt: The script for the first of the requests that the server counts together; None if the server
            replies to the first request as it does to later requests.
    """

    deltas: tuple[str, ...] = ()
    omit_text: bool = False
    thinking: str = ""
    thinking_deltas: tuple[str, ...] = ()
    redacted_thinking: str = ""
    tool_calls: tuple[ScriptedToolCall, ...] = ()
    small_deltas: bool = False
    delay_seconds: float = 0.0
    silence_seconds: float = 0.0
    pace_seconds: float = 0.0
    status: int = 200
    status_message: str = ""
    retry_after: str = ""
    fault_count: int = 0
    disconnect_after: int | None = None
    error_after: int | None = None
    interruption: StreamInterruption | None = None
    hang: bool = False
    malformed: str = ""
    stop_reason: str = ""
    stop_sequence: str = ""
    usage: Mapping[str, int] = field(default_factory=dict)
    windows: tuple[ScriptedWindow, ...] = ()
    timestamped: bool = False
    context_window: int = 0
    is_echo: bool = False
    attempt_key: str = ""
    first_attempt: "Script | None" = None

    @property
    def text(self) -> str:
        """The whole text of the reply."""
        return "".join(self.deltas)

    def is_interrupted_at(self, stage: str) -> bool:
        """Return whether a scripted fault ends the stream at this stage."""
        return self.interruption is not None and self.interruption.stage == stage


def has_directives(text: str) -> bool:
    """Return whether a text contains at least one directive."""
    return _DIRECTIVE.search(text) is not None


def last_user_text(body: Body) -> str:
    """Return the text of the newest user message, without the reminder texts that the CLI adds to the message.

    Returns:
        The text, or "" if the request contains no user message.
    """
    return next(user_texts(body), "")


def user_texts(body: Body) -> Iterator[str]:
    """Yield the text of each user message, newest first, without the reminder texts that the CLI adds to the message.

    If a user message contains only tool results, the function yields the number of the results and the directives that
    the results contain.
    """
    for message in reversed(body["messages"]):
        if message["role"] != "user":
            continue
        content = message["content"]
        if isinstance(content, str):
            yield content
            continue
        texts = [block["text"] for block in content if block["type"] == "text"]
        results = [block for block in content if block["type"] == "tool_result"]
        user_text_blocks = [text for text in texts if not text.startswith(_SYSTEM_REMINDER)]
        if user_text_blocks or not results:
            yield str([*texts, *user_text_blocks][-1]) if texts else ""
        else:
            yield f"{len(results)} tool result(s){_extract_directives(results)}"


def _current_step(body: Body) -> str:
    """Find a user message with several parts (separated by `{{then}}`), and return the part for the next reply.

    The first part is the script of the reply to the message. Each later part is the script of the reply to the next
    tool results. The function reads the newest user message. It also reads an earlier user message if all user messages
    after that message contain tool results.

    Returns:
        The part, or "" if the messages that the function reads do not contain `{{then}}`.
    """
    reply_count = 0
    for message in reversed(body["messages"]):
        content = message["content"]
        if message["role"] == "assistant":
            reply_count += 1
        elif message["role"] == "user":
            blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
            for block in blocks:
                if block["type"] == "text" and _THEN_DIRECTIVE in block["text"]:
                    steps = block["text"].split(_THEN_DIRECTIVE)
                    return str(steps[min(reply_count, len(steps) - 1)])
            if not any(block["type"] == "tool_result" for block in blocks):
                return ""
    return ""


def _extract_directives(value: Any) -> str:
    """Return all directives in tool results as one text. This text is the script of the next reply."""
    match value:
        case {"type": "text", "text": str(text)} | {"type": "tool_result", "content": str(text)}:
            return "".join(match[0] for match in _DIRECTIVE.finditer(text))
        case {"type": "tool_result", "content": list(inner)} | list(inner):
            return "".join(map(_extract_directives, inner))
    return ""


def _is_json(text: str) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def parse_script(body: Body) -> Script:
    """Return the script of the reply to a request, according to the directives in the user messages.

    Raises:
        ValueError: A directive is invalid.
    """
    text, previous_text, *_ = [*islice(user_texts(body), 2), "", ""]
    text = _current_step(body) or text
    fields: dict[str, Any] = {"usage": {}, "tool_calls": ()}
    directives = _DIRECTIVE.findall(text)
    for name, argument in directives:
        _apply_directive(fields, name, argument)
    again = dict(_DIRECTIVE.findall(previous_text)).get("again")
    if again and not directives:
        fields["deltas"] = split_words(again)
    format_ = (body.get("output_config") or {}).get("format") or {}
    echo = _DIRECTIVE.sub("", text).strip()
    if format_.get("type") == "json_schema" and not directives and not again and not _is_json(echo):
        fields["deltas"] = (dumps(smallest_instance(format_.get("schema"))).decode(),)
    if "deltas" not in fields:
        fields |= {"deltas": split_words(echo or "."), "is_echo": True}
    return Script(**fields)


def truncate_at_context_window(tokens_left: int, script: Script) -> Script:
    """Shorten the reply in a script if the reply does not fit into the context window together with the prompt.

    If the reply is too long, the function removes the last deltas and all tool calls. It never shortens a reply that
    repeats the text of the user message.

    Args:
        tokens_left: The number of tokens in the context window that the prompt does not use.
        script: The script of the whole reply.

    Returns:
        The script of the shortened reply, or `script` itself if the reply is short enough.
    """
    if len(script.deltas) <= tokens_left or script.is_echo:
        return script
    return replace(
        script, deltas=script.deltas[:tokens_left], tool_calls=(), stop_reason="model_context_window_exceeded"
    )


def _apply_directive(fields: dict[str, Any], name: str, argument: str) -> None:
    match name:
        case "say":
            fields["deltas"] = split_words(argument)
        case "say_json":
            fields["deltas"] = _parse_deltas(argument)
        case "empty":
            fields |= {"deltas": (), "omit_text": True}
        case "blank":
            text = loads_lenient(argument or r'"\n\n"')
            fields["deltas"] = (text,) if text else ()
        case "again" | "agent":
            pass  # other functions handle these directives
        case "deltas":
            fields["deltas"] = tuple(f"w{n} " for n in range(int(argument)))
        case "stamps":
            fields["deltas"] = ("",) * int(argument)
            fields["timestamped"] = True
        case "big":
            fields["deltas"] = ("x" * int(argument),)
        case "think":
            fields["thinking"] = argument
        case "think_json":
            fields["thinking_deltas"] = _parse_deltas(argument)
            fields["thinking"] = "".join(fields["thinking_deltas"])
        case "redact":
            fields["redacted_thinking"] = argument
        case "tool":
            tool, _, arguments = argument.partition(" ")
            fields["tool_calls"] += (ScriptedToolCall(tool, loads_lenient(arguments or "{}")),)
        case "tool_raw":
            tool, _, arguments = argument.partition(" ")
            fields["tool_calls"] += (_parse_raw_call(tool, arguments),)
        case "fine":
            fields["small_deltas"] = True
        case "delay" | "silence" | "pace":
            fields[f"{name}_seconds"] = float(argument)
        case "status":
            status, _, header = argument.partition(" retry-after=")
            fields["status"] = int(status)
            fields["retry_after"] = header
        case "limits":
            fields["windows"] = parse_windows(argument)
            if any(window.status == "rejected" for window in fields["windows"]):
                fields.setdefault("status", 429)
        case "message":
            fields["status_message"] = argument
        case "too_long":
            fields |= {"status": 400, "status_message": TOO_LONG_MESSAGE}
        case "times":
            fields["fault_count"] = int(argument)
        case "drop":
            fields["disconnect_after"] = int(argument)
        case "window":
            fields["context_window"] = int(argument)
        case "break":
            fields["error_after"] = int(argument)
        case "cut" | "end" | "error":
            if argument not in STAGES:
                raise ValueError(f"a stream has no stage {argument!r}, only {', '.join(STAGES)}")
            fields["interruption"] = StreamInterruption(name, argument)
        case "hang":
            fields["hang"] = True
        case "lie":
            fields["malformed"] = argument
        case "stop":
            fields["stop_reason"], _, fields["stop_sequence"] = argument.partition(" ")
        case "usage":
            fields["usage"] |= {k: int(v) for k, v in (pair.split("=") for pair in argument.split())}
        case _:
            raise ValueError(f"unknown directive {name!r}")


def _parse_deltas(argument: str) -> tuple[str, ...]:
    """Split a JSON text into deltas. The deltas are the strings in a JSON list, or the words in a JSON string.

    Raises:
        ValueError: The text is neither a JSON string nor a JSON list of strings.
    """
    match loads_lenient(argument):
        case str(text):
            return split_words(text)
        case list(deltas) if all(isinstance(delta, str) for delta in deltas):
            return tuple(deltas)
    raise ValueError(f"neither a JSON string nor a list of strings: {argument[:40]!r}")


def _parse_raw_call(name: str, text: str) -> ScriptedToolCall:
    try:
        value = loads_lenient(text)
    except ValueError:
        return ScriptedToolCall(name, {}, (text,))
    if isinstance(value, list) and value and all(isinstance(fragment, str) for fragment in value):
        call = _parse_raw_call(name, "".join(value))
        return ScriptedToolCall(name, call.arguments, tuple(value))
    return ScriptedToolCall(name, value if isinstance(value, dict) else {}, (text,))


def split_words(text: str) -> tuple[str, ...]:
    """Split a text into words, each with the white space around it. The words are the deltas of a reply."""
    return tuple(_WORD.findall(text)) or (text,)
