"""The stand-in works as a coding agent: one turn after another, with the tools that the client offers."""

from typing import Any

import pytest

from claude_gateway.demo.agent import agent_script, file_name, written
from claude_gateway.demo.message import whole_message
from claude_gateway.demo.script import TOO_LONG, Script

CLAUDE_CODE = {
    "Read": ["file_path"],
    "Write": ["file_path", "content"],
    "Edit": ["file_path", "old_string", "new_string"],
    "Bash": ["command", "description"],
}
CODEX = {"exec_command": ["cmd"]}
GEMINI_CLI = {
    "read_file": ["file_path"],
    "write_file": ["file_path", "content"],
    "replace": ["file_path", "old_string", "new_string", "instruction"],
    "run_shell_command": ["command"],
}
OPENCODE = {
    "read": ["filePath"],
    "write": ["filePath", "content"],
    "edit": ["filePath", "oldString", "newString"],
    "bash": ["command", "description"],
}
PROGRAMS = pytest.mark.parametrize(
    "tools", [CLAUDE_CODE, CODEX, GEMINI_CLI, OPENCODE], ids=["Claude Code", "Codex", "Gemini CLI", "OpenCode"]
)


def offered(tools: dict[str, list[str]]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "input_schema": {
                "type": "object",
                "properties": {field: {"type": "string"} for field in fields},
                "required": fields,
            },
        }
        for name, fields in tools.items()
    ]


def ask(options: str = "turns=7 dir=/p", tools: dict[str, list[str]] = CLAUDE_CODE, **more: Any) -> dict[str, Any]:
    prompt = {"role": "user", "content": f"Build it. {{{{agent {options}}}}}"}
    return {"model": "claude-test", "tools": offered(tools), "messages": [prompt], **more}


def script_of(body: dict[str, Any]) -> Script:
    script = agent_script(body)
    assert script is not None
    return script


def go_on(body: dict[str, Any], script: Script) -> dict[str, Any]:
    """The next request: the answer, and the results of its calls."""
    content = whole_message(body, script)["content"]
    results = [
        {"type": "tool_result", "tool_use_id": block["id"], "content": "ok"}
        for block in content
        if block["type"] == "tool_use"
    ]
    behind = [{"role": "user", "content": results}] if results else []
    return {**body, "messages": [*body["messages"], {"role": "assistant", "content": content}, *behind]}


def played(body: dict[str, Any]) -> list[Script]:
    scripts: list[Script] = []
    while not scripts or scripts[-1].tools:
        scripts.append(script_of(body))
        body = go_on(body, scripts[-1])
    return scripts


def test_prompt_without_the_directive_has_no_agent() -> None:
    assert agent_script({"messages": [{"role": "user", "content": "{{say hi}}"}]}) is None


@PROGRAMS
def test_agent_calls_only_what_the_client_offers_with_all_that_is_required(tools: dict[str, list[str]]) -> None:
    *turns, last = played(ask(tools=tools))

    calls = [call for turn in turns for call in turn.tools]
    assert len(turns) == 7
    assert last.text == "All 7 steps are done."
    assert all(list(call.arguments) and set(call.arguments) == set(tools[call.name]) for call in calls)


def test_file_is_written_then_changed() -> None:
    first, _, third, *_ = played(ask())

    assert first.tools[0].arguments == {"file_path": f"/p/{file_name(0)}", "content": written(0)}
    assert third.tools[0].arguments["old_string"] in written(0)


def test_shell_alone_does_the_same() -> None:
    first, _, third, *_ = played(ask(tools=CODEX))

    assert written(0) in first.tools[0].arguments["cmd"]
    assert "VALUE = 2" in third.tools[0].arguments["cmd"]


def test_shell_that_takes_a_list_gets_one() -> None:
    tool = {"name": "shell", "input_schema": {"properties": {"command": {"type": "array"}}, "required": ["command"]}}

    assert script_of({**ask(), "tools": [tool]}).tools[0].arguments["command"][:2] == ["bash", "-c"]


def test_several_tools_are_called_at_once_in_some_turns() -> None:
    assert [len(turn.tools) for turn in played(ask())] == [1, 1, 1, 1, 3, 1, 1, 0]


def test_turn_waits_for_all_of_its_results() -> None:
    body = ask("turns=7 dir=/p from=4")
    asked = go_on(body, script_of(body))
    asked["messages"][-1]["content"].pop()

    assert len(script_of(asked).tools) == 3


@pytest.mark.parametrize(("thinking", "thinks"), [({"type": "adaptive"}, True), ({"type": "disabled"}, False)])
def test_agent_thinks_where_it_is_asked_to(thinking: dict[str, str], thinks: bool) -> None:
    assert bool(script_of(ask(thinking=thinking)).thinking) is thinks


def test_usage_tells_the_length_of_the_answer() -> None:
    assert script_of(ask()).usage["output"] > len(written(0)) / 4


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("529", {"status": 529}),
        ("429", {"status": 429, "retry_after": "1"}),
        ("too_long", {"status": 400, "status_message": TOO_LONG}),
        ("max_tokens", {"stop_reason": "max_tokens", "tools": ()}),
    ],
)
def test_turn_fails_once_where_it_should(fault: str, expected: dict[str, Any]) -> None:
    body = ask(f"turns=3 dir=/p faults=1:{fault}")
    second = script_of(go_on(body, script_of(body)))

    assert script_of(body).first is None
    assert second.first is not None
    assert {name: getattr(second.first, name) for name in expected} == expected
    assert (second.status, len(second.tools)) == (200, 1)


def test_answer_that_was_cut_short_by_its_limit_goes_on() -> None:
    body = ask()
    stopped = {"role": "assistant", "content": [{"type": "text", "text": "Step 1"}]}
    resumed = {**body, "messages": [*body["messages"], stopped, {"role": "user", "content": "Resume directly."}]}

    assert script_of(resumed).tools == script_of(body).tools


def test_summary_holds_where_the_work_is() -> None:
    body = ask()
    for _ in range(3):
        body = go_on(body, script_of(body))
    asked = {**body, "messages": [*body["messages"], {"role": "user", "content": "Write a summary of all this."}]}
    summary = script_of(asked)

    assert not summary.tools
    after = {**body, "messages": [{"role": "user", "content": f"Go on from here: {summary.text}"}]}
    assert script_of(after).tools == script_of(body).tools


def test_question_after_the_work_is_answered_as_any_other() -> None:
    body = ask("turns=1 dir=/p")
    for _ in range(2):
        body = go_on(body, script_of(body))

    assert agent_script({**body, "messages": [*body["messages"], {"role": "user", "content": "Thanks."}]}) is None


def test_request_without_tools_gets_words() -> None:
    assert not script_of(ask(tools={})).tools


@pytest.mark.parametrize("options", ["turns=many", "speed=9", "faults=1:fire"])
def test_option_that_cannot_be_read_is_a_value_error(options: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        agent_script(ask(options))
