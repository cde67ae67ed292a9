"""Functions that script the replies of a coding agent. The agent calls tools in dozens of turns. Does no I/O.

If a prompt contains ``{{agent turns=30 dir=/tmp/project}}``, the fake API replies as a coding agent that follows a
fixed plan. In this plan, the agent writes, reads and changes files in the directory, runs commands with small and large
outputs, and calls several tools in one reply. To find the next turn of the plan, the fake API counts the earlier
replies whose tool calls have results. The agent calls only tools that the request defines. The directive has these
options:

===================  =====================================================================================
``turns=N``          the number of turns with tool calls before the final text
``dir=PATH``         the absolute path of the directory in which the agent works
``from=N``           the index of the first turn. If the client requests a summary of the conversation, the agent writes
                     a directive with the index of the next turn into the summary
``pace=S``           the number of seconds that the fake API waits before each delta
``faults=N:KIND,…``  turn N fails once before it succeeds. KIND is `529`, `429` (with `retry-after: 1`), `cut` (a closed
                     connection in the middle of a tool call), `too_long` (status 400 because the prompt is too long) or
                     `max_tokens` (a reply that ends early)
===================  =====================================================================================
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

from claude_gateway.devtools.fake_anthropic.exact_json import dumps
from claude_gateway.devtools.fake_anthropic.script import (
    TOO_LONG_MESSAGE,
    Script,
    ScriptedToolCall,
    StreamInterruption,
    has_directives,
    split_words,
    user_texts,
)

TURN_FAULTS = ("529", "429", "cut", "too_long", "max_tokens")
_DIRECTIVE = re.compile(r"\{\{agent ([^{}]*)\}\}")
_SUMMARY_REQUEST = re.compile(r"\b(?:summar(?:y|ize|ise)|compact)", re.IGNORECASE)
_FUNCTION_COUNT = 40
# The names that client programs give to each kind of tool. `_PROPERTY_NAMES` contains the names that client programs
# give to each kind of tool parameter.
_TOOL_NAMES = {
    "read": ("Read", "read_file", "read", "view"),
    "write": ("Write", "write_file", "write", "create_file"),
    "edit": ("Edit", "replace", "edit", "str_replace"),
    "shell": ("Bash", "exec_command", "shell_command", "shell", "run_shell_command", "bash", "execute_command"),
}
_PROPERTY_NAMES = {
    "path": ("file_path", "filePath", "path", "absolute_path"),
    "content": ("content", "contents", "file_text"),
    "old": ("old_string", "oldString", "old_str"),
    "new": ("new_string", "newString", "new_str"),
    "command": ("command", "cmd"),
}

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AgentPlan:
    """The parsed options of an agent directive.

    Attributes:
        turn_count: The number of turns with tool calls.
        directory: The directory in which the agent works.
        first_turn: The index of the first turn.
        pace_seconds: The time that the fake API waits before each delta.
        faults: The faults of turns, each one of `TURN_FAULTS`. The keys are the indexes of the turns.
    """

    turn_count: int
    directory: str
    first_turn: int
    pace_seconds: float
    faults: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class AgentAction:
    """One action of the agent. The agent calls one tool for each action.

    Attributes:
        kind: The kind of the tool, a key of `_TOOL_NAMES`.
        command: A shell command that has the same effect as the action.
        values: The arguments of the tool call. The keys are keys of `_PROPERTY_NAMES`.
    """

    kind: str
    command: str
    values: Mapping[str, str]


def build_agent_script(body: Body) -> Script | None:
    """Return the script of the next turn of the agent; None if the request does not continue an agent directive.

    Raises:
        ValueError: The options of the directive are invalid, or the request defines no suitable tool.
    """
    directive = _find_directive(body)
    if directive is None:
        return None
    options, later_messages = directive
    plan = _parse_plan(options)
    turn_index = plan.first_turn + _count_completed_turns(later_messages)
    if turn_index >= plan.turn_count and _has_final_reply(later_messages):
        return None
    text = next(user_texts(body), "")
    if _DIRECTIVE.search(text) is None and turn_index < plan.turn_count and _SUMMARY_REQUEST.search(text):
        return _build_text_script(
            f"<summary>The work continues: {{{{agent {_set_first_turn(options, turn_index)}}}}}</summary>", plan
        )
    if turn_index >= plan.turn_count or not body.get("tools"):
        return _build_text_script(f"All {plan.turn_count} steps are done.", plan)
    # The key under which the server counts attempts does not depend on the conversation, because the client can replace
    # the conversation by a summary.
    attempt_key = f"agent {_set_first_turn(options, 0)} turn {turn_index}"
    return _add_fault(_build_turn_script(body, plan, turn_index), plan.faults.get(turn_index), attempt_key)


def step_file_name(turn_index: int) -> str:
    """Return the name of the file that the agent writes in the given turn."""
    return f"part_{turn_index}.py"


def step_file_content(turn_index: int) -> str:
    """Return the content of the file that the agent writes in the given turn."""
    lines = [f'"""Part {turn_index}: größer als 1 — 部品 {turn_index} 👩‍💻."""', "", "VALUE = 0", ""]
    lines += [
        f"def step_{n}(x: int) -> int:\n    return x * {n} + VALUE  # {'é' * (n % 5 + 1)}"
        for n in range(_FUNCTION_COUNT)
    ]
    return "\n".join(lines) + "\n"


def _find_directive(body: Body) -> tuple[str, Sequence[Mapping[str, Any]]] | None:
    """Return the options of the newest agent directive, and the messages after the message with this directive.

    Returns:
        The options and the messages; None if no message contains an agent directive, or if a newer user message
        contains another directive.
    """
    messages = body["messages"]
    for index in range(len(messages) - 1, -1, -1):
        if messages[index]["role"] != "user":
            continue
        for text in _text_blocks(messages[index]["content"]):
            if directives := _DIRECTIVE.findall(text):
                return directives[-1], messages[index + 1 :]
            if has_directives(text):
                return None
    return None


def _text_blocks(content: Any) -> list[str]:
    return [content] if isinstance(content, str) else [part["text"] for part in content if part["type"] == "text"]


def _parse_plan(options: str) -> AgentPlan:
    values = dict(option.split("=", 1) for option in options.split())
    faults = dict(fault.split(":", 1) for fault in values.pop("faults", "").split(",") if fault)
    if unknown := set(faults.values()) - set(TURN_FAULTS):
        raise ValueError(f"unknown agent fault {min(unknown)!r}; use one of {', '.join(TURN_FAULTS)}")
    plan = AgentPlan(
        int(values.pop("turns", "30")),
        values.pop("dir", "/tmp/project").rstrip("/"),  # noqa: S108 - this program writes nothing there
        int(values.pop("from", "0")),
        float(values.pop("pace", "0")),
        {int(number): kind for number, kind in faults.items()},
    )
    if values:
        raise ValueError(f"unknown agent option {min(values)!r}")
    return plan


def _set_first_turn(options: str, turn_index: int) -> str:
    other_options = [option for option in options.split() if not option.startswith("from=")]
    return " ".join([*other_options, f"from={turn_index}"])


def _count_completed_turns(messages: Sequence[Mapping[str, Any]]) -> int:
    """Count the replies in which each tool call has a result. Do not count replies without tool calls."""
    calls = [[block["id"] for block in _content_blocks(message) if block["type"] == "tool_use"] for message in messages]
    results = {
        block["tool_use_id"]
        for message in messages
        for block in _content_blocks(message)
        if block["type"] == "tool_result"
    }
    return sum(1 for ids in calls if ids and results.issuperset(ids))


def _has_final_reply(messages: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether the agent has already sent its final reply, which is a last reply without tool calls."""
    replies = [message for message in messages if message["role"] == "assistant"]
    return bool(replies) and not any(block["type"] == "tool_use" for block in _content_blocks(replies[-1]))


def _content_blocks(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    content = message["content"]
    return [] if isinstance(content, str) else content


def _build_text_script(text: str, plan: AgentPlan) -> Script:
    return Script(deltas=split_words(text), pace_seconds=plan.pace_seconds, usage={"output": ceil(len(text) / 4)})


def _build_turn_script(body: Body, plan: AgentPlan, turn_index: int) -> Script:
    is_thinking = (body.get("thinking") or {}).get("type") in ("enabled", "adaptive")
    thinking = f"This is step {turn_index}. The earlier parts are done, now the next one. " if is_thinking else ""
    text = f"Step {turn_index + 1} of {plan.turn_count}: I continue with {step_file_name(turn_index)}."
    calls = tuple(_to_tool_call(action, body["tools"]) for action in _turn_actions(plan, turn_index))
    output = ceil((len(thinking) + len(text) + sum(len(dumps(call.arguments)) for call in calls)) / 4)
    return Script(
        deltas=split_words(text),
        thinking=thinking,
        tool_calls=calls,
        small_deltas=True,
        pace_seconds=plan.pace_seconds,
        usage={"output": output, "thinking": ceil(len(thinking) / 4)},
    )


def _add_fault(script: Script, fault: str | None, attempt_key: str) -> Script:
    match fault:
        case "529":
            first = replace(script, status=529)
        case "429":
            first = replace(script, status=429, retry_after="1")
        case "cut":
            first = replace(script, interruption=StreamInterruption("cut", "call"))
        case "too_long":
            first = replace(script, status=400, status_message=TOO_LONG_MESSAGE)
        case "max_tokens":
            first = replace(script, tool_calls=(), stop_reason="max_tokens")
        case _:
            return script
    return replace(script, first_attempt=first, attempt_key=attempt_key)


def _turn_actions(plan: AgentPlan, turn_index: int) -> Iterator[AgentAction]:
    """Yield the actions of the agent in the given turn.

    The plan repeats a group of six turns. In the first turn the agent writes a file, in the second it reads the file,
    in the third it changes the file. In the fourth turn it runs a command with a large output, in the fifth it calls
    three tools, and in the sixth it runs a command with a small output.
    """
    base = turn_index - turn_index % 6
    path = f"{plan.directory}/{step_file_name(base)}"
    match turn_index % 6:
        case 0:
            content = step_file_content(turn_index)
            yield AgentAction("write", f"cat > '{path}' <<'EOF'\n{content}EOF", {"path": path, "content": content})
        case 1:
            yield _read_action(path)
        case 2:
            new = f"VALUE = {turn_index}"
            values = {"path": path, "old": "VALUE = 0", "new": new}
            yield AgentAction("edit", f"sed -i 's/^VALUE = 0$/{new}/' '{path}'", values)
        case 3:
            yield _shell_action("seq 1 4000")
        case 4:
            yield _read_action(path)
            yield _shell_action(f"wc -c '{path}'")
            yield _shell_action("printf 'tab\\tand ünïcödé 👩‍💻\\n'")
        case _:
            yield _shell_action(
                f"echo 'step {turn_index}' >> '{plan.directory}/log.txt' && cat '{plan.directory}/log.txt'"
            )


def _read_action(path: str) -> AgentAction:
    return AgentAction("read", f"cat '{path}'", {"path": path})


def _shell_action(command: str) -> AgentAction:
    return AgentAction("shell", command, {"command": command})


def _to_tool_call(action: AgentAction, tools: Sequence[Mapping[str, Any]]) -> ScriptedToolCall:
    """Return a call of a client tool that performs an action.

    If the client has no tool of the kind that the action requires, return a call of the client's shell tool.

    Raises:
        ValueError: The client has no suitable tool.
    """
    schemas = {tool["name"]: tool.get("input_schema") or {} for tool in tools}
    for kind, values in ((action.kind, action.values), ("shell", {"command": action.command})):
        name = next((name for name in _TOOL_NAMES[kind] if name in schemas), None)
        if name is not None:
            return ScriptedToolCall(name, _build_arguments(schemas[name], values))
    raise ValueError(f"the agent needs a tool to {action.kind}, not {', '.join(sorted(schemas))}")


def _build_arguments(schema: Mapping[str, Any], values: Mapping[str, str]) -> dict[str, Any]:
    properties = schema.get("properties") or {}
    arguments: dict[str, Any] = {}
    for kind, value in values.items():
        name = next((name for name in _PROPERTY_NAMES[kind] if name in properties), None)
        if name is None:
            raise ValueError(f"the agent needs a tool with the parameter {kind}, not {', '.join(properties)}")
        is_list = kind == "command" and properties[name].get("type") == "array"
        arguments[name] = ["bash", "-c", value] if is_list else value
    for name in schema.get("required") or ():
        arguments.setdefault(name, _default_value(properties.get(name) or {}))
    return arguments


def _default_value(schema: Mapping[str, Any]) -> Any:
    """Return any valid value for a parameter, given the JSON Schema of the parameter.

    The function is used for required parameters for which the action has no value.
    """
    if "enum" in schema:
        return schema["enum"][0]
    return {"boolean": False, "integer": 1, "number": 1, "array": [], "object": {}}.get(
        str(schema.get("type")), "part of the plan"
    )
