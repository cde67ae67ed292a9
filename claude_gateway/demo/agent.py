"""The script of a coding agent: one prompt, dozens of turns with tools. Pure.

``{{agent turns=30 dir=/tmp/project}}`` in a prompt makes the stand-in work through a fixed plan in that directory: it
writes, reads and changes files, runs commands with small and large outputs, and calls several tools at once. Which
turn it is, is told by how many of its turns have been answered with results. It calls the tools that the client
offers, each under the client's own name for it. Options:

===================  =====================================================================================
``turns=N``          so many turns with calls, then an answer in words
``dir=PATH``         where the files are, an absolute path
``from=N``           the turn to go on with; what it puts into the summary when the client asks for one
``pace=S``           seconds before each delta
``faults=N:KIND,…``  turn N fails once before it succeeds: `529`, `429` (with `retry-after: 1`), `cut` (in the middle
                     of a call), `too_long` (the prompt, 400) or `max_tokens` (an answer that ends in its words)
===================  =====================================================================================
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

from claude_gateway.demo.exact_json import dumps
from claude_gateway.demo.script import TOO_LONG, EarlyEnd, Script, ToolCall, has_directives, pieces_of, user_texts

FAULTS = ("529", "429", "cut", "too_long", "max_tokens")
_DIRECTIVE = re.compile(r"\{\{agent ([^{}]*)\}\}")
_SUMMARY = re.compile(r"\b(?:summar(?:y|ize|ise)|compact)", re.IGNORECASE)
_LINES = 40
# The names that programs give their tools, and the properties of those.
_TOOLS = {
    "read": ("Read", "read_file", "read", "view"),
    "write": ("Write", "write_file", "write", "create_file"),
    "edit": ("Edit", "replace", "edit", "str_replace"),
    "shell": ("Bash", "exec_command", "shell_command", "shell", "run_shell_command", "bash", "execute_command"),
}
_PROPERTIES = {
    "path": ("file_path", "filePath", "path", "absolute_path"),
    "content": ("content", "contents", "file_text"),
    "old": ("old_string", "oldString", "old_str"),
    "new": ("new_string", "newString", "new_str"),
    "command": ("command", "cmd"),
}

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """What the directive asks for."""

    turns: int
    directory: str
    first: int
    pace: float
    faults: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class Action:
    """One thing to do; `values` are those of `_PROPERTIES`, `command` does the same in a shell."""

    kind: str
    command: str
    values: Mapping[str, str]


def agent_script(body: Body) -> Script | None:
    """The agent's next turn, or None where no agent is at work. Raises `ValueError` on options it cannot read."""
    found = _directive(body)
    if found is None:
        return None
    options, after = found
    plan = _plan(options)
    number = plan.first + _answered(after)
    if number >= plan.turns and _has_ended(after):
        return None
    text = next(user_texts(body), "")
    if _DIRECTIVE.search(text) is None and number < plan.turns and _SUMMARY.search(text):
        return _worded(f"<summary>The work goes on: {{{{agent {_with_first(options, number)}}}}}</summary>", plan)
    if number >= plan.turns or not body.get("tools"):
        return _worded(f"All {plan.turns} steps are done.", plan)
    # The same turn before and after the client has replaced its conversation by a summary.
    key = f"agent {_with_first(options, 0)} turn {number}"
    return _with_fault(_turn(body, plan, number), plan.faults.get(number), key)


def file_name(number: int) -> str:
    """The file that a turn writes, where it writes one."""
    return f"part_{number}.py"


def written(number: int) -> str:
    """What it writes there."""
    lines = [f'"""Part {number}: größer als 1 — 部品 {number} 👩‍💻."""', "", "VALUE = 0", ""]
    lines += [f"def step_{n}(x: int) -> int:\n    return x * {n} + VALUE  # {'é' * (n % 5 + 1)}" for n in range(_LINES)]
    return "\n".join(lines) + "\n"


def _directive(body: Body) -> tuple[str, Sequence[Mapping[str, Any]]] | None:
    """The options of the newest directive, and the messages behind it; none where a newer prompt has directives."""
    messages = body["messages"]
    for number in range(len(messages) - 1, -1, -1):
        if messages[number]["role"] != "user":
            continue
        for text in _texts(messages[number]["content"]):
            if found := _DIRECTIVE.findall(text):
                return found[-1], messages[number + 1 :]
            if has_directives(text):
                return None
    return None


def _texts(content: Any) -> list[str]:
    return [content] if isinstance(content, str) else [part["text"] for part in content if part["type"] == "text"]


def _plan(options: str) -> Plan:
    given = dict(option.split("=", 1) for option in options.split())
    faults = dict(fault.split(":", 1) for fault in given.pop("faults", "").split(",") if fault)
    if unknown := set(faults.values()) - set(FAULTS):
        raise ValueError(f"an agent knows no fault {min(unknown)!r}, only {', '.join(FAULTS)}")
    plan = Plan(
        int(given.pop("turns", "30")),
        given.pop("dir", "/tmp/project").rstrip("/"),  # noqa: S108 - a name in a script, nothing is made there
        int(given.pop("from", "0")),
        float(given.pop("pace", "0")),
        {int(number): kind for number, kind in faults.items()},
    )
    if given:
        raise ValueError(f"an agent knows no option {min(given)!r}")
    return plan


def _with_first(options: str, number: int) -> str:
    kept = [option for option in options.split() if not option.startswith("from=")]
    return " ".join([*kept, f"from={number}"])


def _answered(messages: Sequence[Mapping[str, Any]]) -> int:
    """How many answers with calls have their results."""
    calls = [[block["id"] for block in _blocks(one) if block["type"] == "tool_use"] for one in messages]
    results = {block["tool_use_id"] for one in messages for block in _blocks(one) if block["type"] == "tool_result"}
    return sum(1 for ids in calls if ids and results.issuperset(ids))


def _has_ended(messages: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the last answer was one in words."""
    answers = [one for one in messages if one["role"] == "assistant"]
    return bool(answers) and not any(block["type"] == "tool_use" for block in _blocks(answers[-1]))


def _blocks(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    content = message["content"]
    return [] if isinstance(content, str) else content


def _worded(text: str, plan: Plan) -> Script:
    return Script(deltas=pieces_of(text), pace=plan.pace, usage={"output": ceil(len(text) / 4)})


def _turn(body: Body, plan: Plan, number: int) -> Script:
    thinks = (body.get("thinking") or {}).get("type") in ("enabled", "adaptive")
    thought = f"This is step {number}. The parts before it are there, so the next one is to do. " if thinks else ""
    words = f"Step {number + 1} of {plan.turns}: I go on with {file_name(number)}."
    calls = tuple(_call(action, body["tools"]) for action in _actions(plan, number))
    output = ceil((len(thought) + len(words) + sum(len(dumps(call.arguments)) for call in calls)) / 4)
    return Script(
        deltas=pieces_of(words),
        thinking=thought,
        tools=calls,
        fine=True,
        pace=plan.pace,
        usage={"output": output, "thinking": ceil(len(thought) / 4)},
    )


def _with_fault(script: Script, fault: str | None, key: str) -> Script:
    match fault:
        case "529":
            first = replace(script, status=529)
        case "429":
            first = replace(script, status=429, retry_after="1")
        case "cut":
            first = replace(script, early=EarlyEnd("cut", "call"))
        case "too_long":
            first = replace(script, status=400, status_message=TOO_LONG)
        case "max_tokens":
            first = replace(script, tools=(), stop_reason="max_tokens")
        case _:
            return script
    return replace(script, first=first, key=key)


def _actions(plan: Plan, number: int) -> Iterator[Action]:
    """Of six turns: write, read, change, a large output, three calls at once, a small output."""
    base = number - number % 6
    path = f"{plan.directory}/{file_name(base)}"
    match number % 6:
        case 0:
            content = written(number)
            yield Action("write", f"cat > '{path}' <<'EOF'\n{content}EOF", {"path": path, "content": content})
        case 1:
            yield _read(path)
        case 2:
            new = f"VALUE = {number}"
            changed = {"path": path, "old": "VALUE = 0", "new": new}
            yield Action("edit", f"sed -i 's/^VALUE = 0$/{new}/' '{path}'", changed)
        case 3:
            yield _shell("seq 1 4000")
        case 4:
            yield _read(path)
            yield _shell(f"wc -c '{path}'")
            yield _shell("printf 'tab\\tand ünïcödé 👩‍💻\\n'")
        case _:
            yield _shell(f"echo 'step {number}' >> '{plan.directory}/log.txt' && cat '{plan.directory}/log.txt'")


def _read(path: str) -> Action:
    return Action("read", f"cat '{path}'", {"path": path})


def _shell(command: str) -> Action:
    return Action("shell", command, {"command": command})


def _call(action: Action, tools: Sequence[Mapping[str, Any]]) -> ToolCall:
    """In the client's own words: with its tool for it, or else in its shell."""
    offered = {tool["name"]: tool.get("input_schema") or {} for tool in tools}
    for kind, values in ((action.kind, action.values), ("shell", {"command": action.command})):
        name = next((name for name in _TOOLS[kind] if name in offered), None)
        if name is not None:
            return ToolCall(name, _arguments(offered[name], values))
    raise ValueError(f"none of these tools can {action.kind}: {', '.join(sorted(offered))}")


def _arguments(schema: Mapping[str, Any], values: Mapping[str, str]) -> dict[str, Any]:
    properties = schema.get("properties") or {}
    arguments: dict[str, Any] = {}
    for kind, value in values.items():
        name = next((name for name in _PROPERTIES[kind] if name in properties), None)
        if name is None:
            raise ValueError(f"this tool has no {kind}: {', '.join(properties)}")
        in_a_list = kind == "command" and properties[name].get("type") == "array"
        arguments[name] = ["bash", "-c", value] if in_a_list else value
    for name in schema.get("required") or ():
        arguments.setdefault(name, _filler(properties.get(name) or {}))
    return arguments


def _filler(schema: Mapping[str, Any]) -> Any:
    """Something that a property takes of which the plan knows nothing."""
    if "enum" in schema:
        return schema["enum"][0]
    return {"boolean": False, "integer": 1, "number": 1, "array": [], "object": {}}.get(
        str(schema.get("type")), "what the plan says"
    )
