"""Contract checks for agent processes, which have built-in tools."""

from typing import Any

from claude_gateway.devtools.cli_contract.check import ContractCheckRegistry, require, require_equal
from claude_gateway.devtools.cli_contract.driver import (
    DENIAL_MESSAGE,
    MODEL,
    OTHER_MODEL,
    CliDriver,
    last_request_body,
    user_turn,
)
from claude_gateway.devtools.fake_anthropic.server import FakeAnthropic
from workers.cli.protocol import ProtocolState
from workers.conversation.resume_index import LastMessageTracker, ResumePoint

contract_check = ContractCheckRegistry()

_BUILTIN_TOOLS = ("Agent", "Bash", "Edit", "Glob", "Grep", "NotebookEdit", "Read", "WebSearch", "Write")


@contract_check(
    "Spare processes start before their job is known, and must keep its system prompt when the model changes.",
    builtin_tools=_BUILTIN_TOOLS,
)
async def an_agent_accepts_a_system_prompt_after_its_start_and_keeps_it_when_the_model_changes(
    cli: CliDriver, upstream: FakeAnthropic
) -> None:
    await cli.process.write(cli.protocol.set_thinking_budget(0))  # the CLI accepts this request before `initialize`
    await cli.send(cli.protocol.initialize_with_builtin_prompt("the client prompt"))
    await cli.ask("hello")
    prompt = last_request_body(upstream)["system"][-1]["text"]
    require("the client prompt" in prompt and len(prompt) > 5_000, prompt)
    await cli.send(cli.protocol.switch_model(OTHER_MODEL))
    await cli.ask("hello")
    require(
        "the client prompt" in last_request_body(upstream)["system"][-1]["text"],
        last_request_body(upstream)["system"][-1]["text"],
    )


@contract_check(
    "A job must have only the tools that it requested, and no command may continue in the background.",
    builtin_tools=_BUILTIN_TOOLS,
)
async def an_agent_has_only_the_tools_it_was_started_with(cli: CliDriver, upstream: FakeAnthropic) -> None:
    await cli.send(cli.protocol.initialize_with_builtin_prompt(""))
    await cli.ask("hello")
    require_equal(tuple(sorted(tool["name"] for tool in last_request_body(upstream)["tools"])), _BUILTIN_TOOLS)
    (bash,) = (tool for tool in last_request_body(upstream)["tools"] if tool["name"] == "Bash")
    require("run_in_background" not in bash["input_schema"]["properties"], bash["input_schema"]["properties"])


@contract_check("The gateway decides on each call that writes or runs something.", builtin_tools=_BUILTIN_TOOLS)
async def a_writing_tool_asks_for_permission_and_a_denial_reaches_the_model(
    cli: CliDriver, upstream: FakeAnthropic
) -> None:
    await cli.send(cli.protocol.set_thinking_budget(0), cli.protocol.initialize_with_builtin_prompt(""))
    for call in ('Bash {"command": "touch x"}', 'Write {"file_path": "x", "content": "y"}'):
        await cli.ask(f"{{{{tool {call}}}}}")
        result = str(last_request_body(upstream)["messages"][-1])
        require(DENIAL_MESSAGE in result, result)


@contract_check("Neither clients nor prompts may switch the rules of the gateway off.", builtin_tools=_BUILTIN_TOOLS)
async def an_agent_refuses_to_bypass_permissions(cli: CliDriver, _: FakeAnthropic) -> None:
    await cli.send(cli.protocol.initialize_with_builtin_prompt(""))
    error = await cli.send_expecting_error(cli.protocol.set_permission_mode("bypassPermissions"))
    require("restricted" in error, error)


@contract_check("The prefix limits the memory of each process of a command.", builtin_tools=_BUILTIN_TOOLS)
async def a_command_runs_with_the_shell_prefix(cli: CliDriver, upstream: FakeAnthropic) -> None:
    environment = {"CLAUDE_CODE_SHELL_PREFIX": "printf --\t%s:\tlimited"}
    await cli.send(cli.protocol.set_thinking_budget(0), cli.protocol.initialize_with_builtin_prompt(""))
    await cli.send(cli.protocol.set_environment(environment))
    await cli.ask('{{tool Bash {"command": "wc -c"}}}')
    result = str(last_request_body(upstream)["messages"][-1])
    require("limited:" in result and "wc -c" in result, result)


@contract_check(
    "Otherwise the gateway could not distinguish a process with a long command from one that hangs.",
    builtin_tools=_BUILTIN_TOOLS,
)
async def a_setting_is_acknowledged_while_a_command_runs(cli: CliDriver, _: FakeAnthropic) -> None:
    await cli.send(cli.protocol.set_thinking_budget(0), cli.protocol.initialize_with_builtin_prompt(""))
    await cli.process.write(cli.protocol.prompt(user_turn('{{tool Bash {"command": "sleep 60"}}}')))
    while not any(frame["type"] == "assistant" for frame in await cli.receive()):
        pass
    await cli.process.write(cli.protocol.set_thinking_budget(0))
    while cli.protocol.has_pending_controls:
        await cli.receive()
    require_equal(cli.protocol.state, ProtocolState.REPLYING)


@contract_check(
    "A conversation must continue unchanged after its process has exited, so that the prompt cache matches.",
    builtin_tools=_BUILTIN_TOOLS,
)
async def another_agent_resumes_a_conversation_byte_for_byte_after_any_message(
    cli: CliDriver, upstream: FakeAnthropic
) -> None:
    await cli.send(
        cli.protocol.set_thinking_budget(0), cli.protocol.initialize_with_builtin_prompt("the client prompt")
    )
    tracker = LastMessageTracker()
    for frame in await cli.ask('{{tool Bash {"command": "echo x"}}}'):
        tracker.feed(frame)
    first = _normalize_conversation(upstream)
    await cli.ask("second")
    cli.process.kill()
    assert cli.start_successor is not None
    async with cli.start_successor(ResumePoint(tracker.cli_session_id, tracker.message_uuid, "", MODEL)) as other:
        await other.send(
            other.protocol.set_thinking_budget(0),
            other.protocol.initialize_with_builtin_prompt("the client prompt"),
        )
        await other.ask("third")
    resumed = _normalize_conversation(upstream)
    require_equal(resumed[: len(first)], first)
    require_equal(resumed[-1], [{"type": "text", "text": "third"}])
    require("second" not in str(resumed[len(first) :]), resumed[len(first) :])


def _normalize_conversation(upstream: FakeAnthropic) -> list[Any]:
    """Return the tools, the system texts and the messages in the newest chat request, without cache breakpoints.

    The CLI sets the cache breakpoints at different positions in each request. Because of them, equal conversations
    would differ.
    """
    body = last_request_body(upstream)
    turns = [
        [{name: value for name, value in block.items() if name != "cache_control"} for block in message["content"]]
        for message in body["messages"]
    ]
    return [body["tools"], [block["text"] for block in body["system"]], *turns]


@contract_check(
    "The gateway logs stderr when a process exits, and must not log data of clients.", builtin_tools=_BUILTIN_TOOLS
)
async def a_failing_tool_writes_nothing_to_stderr(cli: CliDriver, _: FakeAnthropic) -> None:
    await cli.send(cli.protocol.set_thinking_budget(0), cli.protocol.initialize_with_builtin_prompt(""))
    before = cli.process.stderr_byte_count
    for call in ('Read {"file_path": "/nowhere/at-all"}', 'Bash {"command": "exit 3"}'):
        await cli.ask(f"{{{{tool {call}}}}}")
    require_equal(cli.process.stderr_tail(before), "")
