"""What agents rely on: processes with tools of Claude's own."""

from typing import Any

from claude_gateway.cli_facts.bare_cli import MODEL, OTHER_MODEL, REFUSED, Cli, last, user
from claude_gateway.cli_facts.fact import Facts, holds, same
from claude_gateway.demo.upstream import StandIn
from workers.protocol import State
from workers.record import LastMessage, Resumption

fact = Facts()

_TOOLS = ("Agent", "Bash", "Edit", "Glob", "Grep", "NotebookEdit", "Read", "WebSearch", "Write")


@fact("Spares are booted before their caller is known, and his prompt stays when the model changes.", tools=_TOOLS)
async def an_agent_takes_another_prompt_behind_its_own_with_its_first_job(cli: Cli, upstream: StandIn) -> None:
    await cli.process.write(cli.protocol.set_thinking_budget(0))  # answered before it was initialized
    await cli.send(cli.protocol.initialize_with_own_prompt("the caller's"))
    await cli.ask("hello")
    prompt = last(upstream)["system"][-1]["text"]
    holds("the caller's" in prompt and len(prompt) > 5_000, prompt)
    await cli.send(cli.protocol.switch_model(OTHER_MODEL))
    await cli.ask("hello")
    holds("the caller's" in last(upstream)["system"][-1]["text"], last(upstream)["system"][-1]["text"])


@fact("No job gets a tool that it was not given, and none works on in the background.", tools=_TOOLS)
async def an_agent_has_the_tools_that_it_was_started_with(cli: Cli, upstream: StandIn) -> None:
    await cli.send(cli.protocol.initialize_with_own_prompt(""))
    await cli.ask("hello")
    same(tuple(sorted(tool["name"] for tool in last(upstream)["tools"])), _TOOLS)
    (bash,) = (tool for tool in last(upstream)["tools"] if tool["name"] == "Bash")
    holds("run_in_background" not in bash["input_schema"]["properties"], bash["input_schema"]["properties"])


@fact("The gateway's rules decide on each call that writes or runs anything.", tools=_TOOLS)
async def what_changes_anything_is_asked_for_and_a_refusal_reaches_the_model(cli: Cli, upstream: StandIn) -> None:
    await cli.send(cli.protocol.set_thinking_budget(0), cli.protocol.initialize_with_own_prompt(""))
    for call in ('Bash {"command": "touch x"}', 'Write {"file_path": "x", "content": "y"}'):
        await cli.ask(f"{{{{tool {call}}}}}")
        answer = str(last(upstream)["messages"][-1])
        holds(REFUSED in answer, answer)


@fact("Nobody, the caller's prompt included, can switch the gateway's rules off.", tools=_TOOLS)
async def an_agent_cannot_be_set_to_ask_nobody(cli: Cli, _: StandIn) -> None:
    await cli.send(cli.protocol.initialize_with_own_prompt(""))
    said = await cli.refusal(cli.protocol.set_permission_mode("bypassPermissions"))
    holds("restricted" in said, said)


@fact("Each process of a command is limited in what it allocates.", tools=_TOOLS)
async def a_command_runs_behind_the_words_that_are_to_stand_before_it(cli: Cli, upstream: StandIn) -> None:
    before = {"CLAUDE_CODE_SHELL_PREFIX": "printf --\t%s:\tlimited"}
    await cli.send(cli.protocol.set_thinking_budget(0), cli.protocol.initialize_with_own_prompt(""))
    await cli.send(cli.protocol.set_environment(before))
    await cli.ask('{{tool Bash {"command": "wc -c"}}}')
    answer = str(last(upstream)["messages"][-1])
    holds("limited:" in answer and "wc -c" in answer, answer)


@fact("Otherwise a process whose command runs for long could not be told from one that is frozen.", tools=_TOOLS)
async def a_setting_is_answered_while_a_command_runs(cli: Cli, _: StandIn) -> None:
    await cli.send(cli.protocol.set_thinking_budget(0), cli.protocol.initialize_with_own_prompt(""))
    await cli.process.write(cli.protocol.ask(user('{{tool Bash {"command": "sleep 60"}}}')))
    while not any(frame["type"] == "assistant" for frame in await cli.receive()):
        pass
    await cli.process.write(cli.protocol.set_thinking_budget(0))
    while cli.protocol.waits_for_control:
        await cli.receive()
    same(cli.protocol.state, State.ANSWERING)


@fact("A conversation whose process is gone goes on as it went, and the upstream's cache holds.", tools=_TOOLS)
async def another_agent_takes_a_conversation_up_to_the_byte_behind_any_of_its_messages(
    cli: Cli, upstream: StandIn
) -> None:
    await cli.send(cli.protocol.set_thinking_budget(0), cli.protocol.initialize_with_own_prompt("the caller's"))
    answer = LastMessage()
    for frame in await cli.ask('{{tool Bash {"command": "echo x"}}}'):
        answer.feed(frame)
    first = _conversation(upstream)
    await cli.ask("second")
    cli.process.kill()
    assert cli.successor is not None
    async with cli.successor(Resumption(answer.session, answer.id, "", MODEL)) as other:
        await other.send(
            other.protocol.set_thinking_budget(0), other.protocol.initialize_with_own_prompt("the caller's")
        )
        await other.ask("third")
    now = _conversation(upstream)
    same(now[: len(first)], first)
    same(now[-1], [{"type": "text", "text": "third"}])
    holds("second" not in str(now[len(first) :]), now[len(first) :])


def _conversation(upstream: StandIn) -> list[Any]:
    """With the marks for the cache, which move on by nature, taken off."""
    body = last(upstream)
    turns = [
        [{name: value for name, value in block.items() if name != "cache_control"} for block in message["content"]]
        for message in body["messages"]
    ]
    return [body["tools"], [block["text"] for block in body["system"]], *turns]


@fact("What it writes there is logged when it dies, and callers' data must not be.", tools=_TOOLS)
async def a_tool_that_fails_writes_nothing_to_stderr(cli: Cli, _: StandIn) -> None:
    await cli.send(cli.protocol.set_thinking_budget(0), cli.protocol.initialize_with_own_prompt(""))
    before = cli.process.words
    for call in ('Read {"file_path": "/nowhere/at-all"}', 'Bash {"command": "exit 3"}'):
        await cli.ask(f"{{{{tool {call}}}}}")
    same(cli.process.last_words(before), "")
