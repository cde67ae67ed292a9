"""The fake Anthropic API works as a coding agent: one turn after another, with the tools that the client offers."""

from typing import Any

import pytest

from claude_gateway.devtools.fake_anthropic.coding_agent import build_agent_script, step_file_content, step_file_name
from claude_gateway.devtools.fake_anthropic.message import build_message
from claude_gateway.devtools.fake_anthropic.script import TOO_LONG_MESSAGE, Script

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


def get_tool_names(tools: dict[str, list[str]]) -> list[dict[str, Any]]:
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


def create_request(
    options: str = "turns=7 dir=/p", tools: dict[str, list[str]] = CLAUDE_CODE, **more: Any
) -> dict[str, Any]:
    prompt = {"role": "user", "content": f"Build it. {{{{agent {options}}}}}"}
    return {"model": "claude-test", "tools": get_tool_names(tools), "messages": [prompt], **more}


def build_script(body: dict[str, Any]) -> Script:
    script = build_agent_script(body)
    assert script is not None
    return script


def answer_calls(body: dict[str, Any], script: Script) -> dict[str, Any]:
    """Return the next request: the reply, and the results of its calls."""
    content = build_message(body, script)["content"]
    results = [
        {"type": "tool_result", "tool_use_id": block["id"], "content": "ok"}
        for block in content
        if block["type"] == "tool_use"
    ]
    behind = [{"role": "user", "content": results}] if results else []
    return {**body, "messages": [*body["messages"], {"role": "assistant", "content": content}, *behind]}


def play_all(body: dict[str, Any]) -> list[Script]:
    scripts: list[Script] = []
    while not scripts or scripts[-1].tool_calls:
        scripts.append(build_script(body))
        body = answer_calls(body, scripts[-1])
    return scripts


def test_prompt_without_the_directive_starts_no_agent() -> None:
    assert build_agent_script({"messages": [{"role": "user", "content": "{{say hi}}"}]}) is None


@PROGRAMS
def test_agent_calls_only_offered_tools_with_all_required_arguments(tools: dict[str, list[str]]) -> None:
    *turns, last = play_all(create_request(tools=tools))

    calls = [call for turn in turns for call in turn.tool_calls]
    assert len(turns) == 7
    assert last.text == "All 7 steps are done."
    assert all(list(call.arguments) and set(call.arguments) == set(tools[call.name]) for call in calls)


def test_agent_writes_a_file_and_then_changes_it() -> None:
    first, _, third, *_ = play_all(create_request())

    assert first.tool_calls[0].arguments == {"file_path": f"/p/{step_file_name(0)}", "content": step_file_content(0)}
    assert third.tool_calls[0].arguments["old_string"] in step_file_content(0)


def test_agent_uses_the_shell_if_it_has_no_other_tool() -> None:
    first, _, third, *_ = play_all(create_request(tools=CODEX))

    assert step_file_content(0) in first.tool_calls[0].arguments["cmd"]
    assert "VALUE = 2" in third.tool_calls[0].arguments["cmd"]


def test_shell_tool_that_takes_a_list_gets_one() -> None:
    tool = {"name": "shell", "input_schema": {"properties": {"command": {"type": "array"}}, "required": ["command"]}}

    assert build_script({**create_request(), "tools": [tool]}).tool_calls[0].arguments["command"][:2] == ["bash", "-c"]


def test_some_turns_call_several_tools() -> None:
    assert [len(turn.tool_calls) for turn in play_all(create_request())] == [1, 1, 1, 1, 3, 1, 1, 0]


def test_turn_waits_for_all_of_its_results() -> None:
    body = create_request("turns=7 dir=/p from=4")
    next_request = answer_calls(body, build_script(body))
    next_request["messages"][-1]["content"].pop()

    assert len(build_script(next_request).tool_calls) == 3


@pytest.mark.parametrize(("thinking", "is_thinking"), [({"type": "adaptive"}, True), ({"type": "disabled"}, False)])
def test_agent_thinks_if_thinking_is_enabled(thinking: dict[str, str], is_thinking: bool) -> None:
    assert bool(build_script(create_request(thinking=thinking)).thinking) is is_thinking


def test_usage_reports_the_length_of_the_reply() -> None:
    assert build_script(create_request()).usage["output"] > len(step_file_content(0)) / 4


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("529", {"status": 529}),
        ("429", {"status": 429, "retry_after": "1"}),
        ("too_long", {"status": 400, "status_message": TOO_LONG_MESSAGE}),
        ("max_tokens", {"stop_reason": "max_tokens", "tool_calls": ()}),
    ],
)
def test_turn_fails_once_as_requested(fault: str, expected: dict[str, Any]) -> None:
    body = create_request(f"turns=3 dir=/p faults=1:{fault}")
    second = build_script(answer_calls(body, build_script(body)))

    assert build_script(body).first_attempt is None
    assert second.first_attempt is not None
    assert {name: getattr(second.first_attempt, name) for name in expected} == expected
    assert (second.status, len(second.tool_calls)) == (200, 1)


def test_truncated_reply_is_continued() -> None:
    body = create_request()
    stopped = {"role": "assistant", "content": [{"type": "text", "text": "Step 1"}]}
    resumed = {**body, "messages": [*body["messages"], stopped, {"role": "user", "content": "Resume directly."}]}

    assert build_script(resumed).tool_calls == build_script(body).tool_calls


def test_summary_contains_the_progress() -> None:
    body = create_request()
    for _ in range(3):
        body = answer_calls(body, build_script(body))
    next_request = {
        **body,
        "messages": [*body["messages"], {"role": "user", "content": "Write a summary of all this."}],
    }
    summary = build_script(next_request)

    assert not summary.tool_calls
    after = {**body, "messages": [{"role": "user", "content": f"Go on from here: {summary.text}"}]}
    assert build_script(after).tool_calls == build_script(body).tool_calls


def test_question_after_the_work_is_answered_normally() -> None:
    body = create_request("turns=1 dir=/p")
    for _ in range(2):
        body = answer_calls(body, build_script(body))

    assert build_agent_script({**body, "messages": [*body["messages"], {"role": "user", "content": "Thanks."}]}) is None


def test_request_without_tools_gets_text() -> None:
    assert not build_script(create_request(tools={})).tool_calls


@pytest.mark.parametrize("options", ["turns=many", "speed=9", "faults=1:fire"])
def test_invalid_option_is_a_value_error(options: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        build_agent_script(create_request(options))
