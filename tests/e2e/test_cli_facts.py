"""Each fact about the CLI that the engine is built on, asserted on the binary itself.

When the pin in pyproject.toml moves, a fact that no longer holds fails here by its own name.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from claude_gateway.bundled_cli import bundled_cli
from claude_gateway.demo.upstream import STAND_IN_KEY, StandIn
from workers.frames import Frame
from workers.job import Text, ToolResult, ToolUse, Turn
from workers.launch import agent_arguments, agent_environment, command_line, environment
from workers.process import Process
from workers.protocol import ControlRefused, Protocol, State
from workers.settings import AuthMethod, LaunchSettings

pytestmark = pytest.mark.e2e

MODEL = "claude-sonnet-4-5-20250929"
OTHER_MODEL = "claude-opus-4-20250514"


def user(text: str) -> Turn:
    return Turn("user", (Text(text),))


class Cli:
    """The binary itself, with the command line and environment of a chat worker."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.protocol = Protocol()

    async def send(self, *frames: Frame) -> list[Frame]:
        """Send, and return all that comes back until the CLI is idle and owes no answer."""
        async with asyncio.timeout(20):
            await self.process.write(*frames)
            seen: list[Frame] = []
            while self.protocol.waits_for_control or self.protocol.state is not State.IDLE:
                frames_in = await self.process.read()
                assert frames_in, self.process.last_words()
                for frame in frames_in:
                    seen.append(frame)
                    self.protocol.receive(frame)
            return seen

    async def ask(self, text: str) -> list[Frame]:
        return await self.send(self.protocol.ask(user(text)))

    async def result_of(self, text: str) -> Frame:
        return next(frame for frame in await self.ask(text) if frame["type"] == "result")


@asynccontextmanager
async def bare_cli(upstream: StandIn, directory: Path) -> AsyncIterator[Cli]:
    launch = LaunchSettings(
        bundled_cli(),
        AuthMethod.API_KEY,
        MODEL,
        {"ANTHROPIC_API_KEY": STAND_IN_KEY, "ANTHROPIC_BASE_URL": upstream.url},
    )
    env = environment(launch, directory, {"PATH": "/usr/bin:/bin"})
    process = await Process.spawn(command_line(launch), env, directory)
    started = Cli(process)
    await started.send(started.protocol.initialize())
    yield started
    process.kill()
    await process.ended()


@pytest.fixture
async def cli(upstream: StandIn, tmp_path: Path) -> AsyncIterator[Cli]:
    async with bare_cli(upstream, tmp_path) as started:
        yield started


def last(upstream: StandIn) -> dict[str, Any]:
    return upstream.chats[-1].body


def texts(message: dict[str, Any]) -> list[str]:
    content = message["content"]
    return [content] if isinstance(content, str) else [block["text"] for block in content]


async def test_a_fresh_bare_process_sends_only_what_it_was_given(cli: Cli, upstream: StandIn) -> None:
    await cli.ask("hello")
    (message,) = last(upstream)["messages"]
    assert (message["role"], texts(message)) == ("user", ["hello"])
    assert len(last(upstream)["system"]) == 2  # its billing mark and its own name; nothing else


async def test_no_built_in_tool_is_offered_with_an_empty_tool_list(cli: Cli, upstream: StandIn) -> None:
    await cli.ask("hello")
    assert not last(upstream).get("tools")


async def test_a_system_prompt_can_be_set_and_changed_on_a_live_process(cli: Cli, upstream: StandIn) -> None:
    for prompt in ("first", "second"):
        await cli.send(cli.protocol.set_model(MODEL, prompt, is_current=True))
        await cli.ask("hello")
        assert last(upstream)["system"][-1]["text"] == prompt


async def test_an_empty_system_prompt_is_refused(cli: Cli) -> None:
    frame = cli.protocol.set_model(MODEL, "x", is_current=True)
    frame["request"]["system_prompt"] = ""
    with pytest.raises(ControlRefused, match="non-empty"):
        await cli.send(frame)


async def test_naming_the_current_model_asks_the_upstream_nothing(cli: Cli, upstream: StandIn) -> None:
    await cli.send(cli.protocol.set_model(MODEL, "prompt", is_current=True))
    assert upstream.received == []


async def test_another_model_is_checked_upstream_once(cli: Cli, upstream: StandIn) -> None:
    for model in (OTHER_MODEL, MODEL, OTHER_MODEL):
        await cli.send(cli.protocol.set_model(model, "", is_current=False))
    assert [(request.is_probe, request.body["model"]) for request in upstream.received] == [
        (True, OTHER_MODEL),
        (True, MODEL),
    ]


async def test_a_model_switch_is_noted_in_a_conversation_but_not_before_its_first_message(
    cli: Cli, upstream: StandIn
) -> None:
    await cli.ask("before")
    await cli.send(cli.protocol.clear())
    await cli.send(cli.protocol.set_model(OTHER_MODEL, "", is_current=False))
    await cli.ask("first")
    assert last(upstream)["model"] == OTHER_MODEL
    assert "/model" not in str(last(upstream)["messages"])
    await cli.send(cli.protocol.set_model(MODEL, "", is_current=False))
    await cli.ask("second")
    assert "/model" in str(last(upstream)["messages"])


async def test_clear_forgets_the_conversation_and_leaves_three_marks(cli: Cli, upstream: StandIn) -> None:
    await cli.ask("before")
    await cli.send(cli.protocol.clear())
    await cli.ask("after")
    (message,) = last(upstream)["messages"]
    *marks, mine = texts(message)
    assert mine == "after"
    assert len(marks) == 3
    assert "before" not in str(last(upstream)["messages"])


def rewind(cli: Cli, target: Frame, newest: Frame, *, to_reply: bool = False) -> Frame:
    return cli.protocol.rewind(target["uuid"], newest["uuid"], to_reply=to_reply)


async def test_a_conversation_is_cut_in_front_of_any_question_and_nothing_is_left_of_the_rest(
    cli: Cli, upstream: StandIn
) -> None:
    asked = [cli.protocol.ask(user("zero"))]
    await cli.send(asked[0])
    for text in ("one", "two", "three"):
        asked.append(cli.protocol.ask(user(text)))
        await cli.send(asked[-1])
    await cli.send(rewind(cli, asked[2], asked[3]))
    assert cli.protocol.rewound
    again = cli.protocol.ask(user("TWO"))
    await cli.send(again)
    assert [texts(m) for m in last(upstream)["messages"]] == [["zero"], ["zero"], ["one"], ["one"], ["TWO"]]
    await cli.send(rewind(cli, asked[0], again))
    await cli.send(cli.protocol.set_model(OTHER_MODEL, "", is_current=False))
    await cli.ask("new")
    assert [texts(m) for m in last(upstream)["messages"]] == [["new"]]
    assert len(last(upstream)["messages"][0]["content"]) == 1


@pytest.mark.parametrize("trouble", ["{{status 400}}", "{{status 529}}", "{{drop 1}}{{say a b c}}", "{{stop refusal}}"])
async def test_what_a_failed_turn_left_goes_with_its_question(cli: Cli, upstream: StandIn, trouble: str) -> None:
    await cli.ask("before")
    failed = cli.protocol.ask(user(f"bad {trouble}"))
    await cli.send(failed)
    await cli.send(rewind(cli, failed, failed))
    assert cli.protocol.rewound
    await cli.ask("good")
    assert [texts(m) for m in last(upstream)["messages"]] == [["before"], ["before"], ["good"]]


async def test_it_cuts_only_for_one_who_knows_the_newest_question(cli: Cli) -> None:
    asked = [cli.protocol.ask(user("zero"))]
    await cli.send(asked[0])
    asked.append(cli.protocol.ask(user("one")))
    await cli.send(asked[1])
    await cli.send(rewind(cli, asked[0], asked[0]))
    assert not cli.protocol.rewound


async def test_in_front_of_results_it_cuts_only_at_the_answer_to_them(cli: Cli, upstream: StandIn) -> None:
    call = ToolUse("toolu_1", "f", {})
    await cli.send(cli.protocol.load(user("question")))
    await cli.process.write(cli.protocol.append(Turn("assistant", (call,)), MODEL))
    results = cli.protocol.ask(Turn("user", (ToolResult("toolu_1", (Text("r"),)), Text("and now?"))))
    frames = await cli.send(results)
    answer = next(frame for frame in frames if frame["type"] == "assistant")
    await cli.send(rewind(cli, results, results))
    assert not cli.protocol.rewound
    await cli.send(rewind(cli, answer, results, to_reply=True))
    assert cli.protocol.rewound
    await cli.process.write(cli.protocol.append(Turn("assistant", (Text("other words"),)), MODEL))
    await cli.ask("next")
    *_, results_sent, reply, _ = last(upstream)["messages"]
    assert results_sent["content"][0]["tool_use_id"] == "toolu_1"
    assert texts(reply) == ["other words"]


async def test_a_text_sent_as_a_block_stays_a_block_upstream(cli: Cli, upstream: StandIn) -> None:
    await cli.ask("first")
    await cli.ask("second")
    assert last(upstream)["messages"][0]["content"] == [{"type": "text", "text": "first"}]


async def test_variables_reach_the_next_request_and_stick_until_overwritten(cli: Cli, upstream: StandIn) -> None:
    await cli.send(
        cli.protocol.set_thinking_budget(0),
        cli.protocol.set_environment(
            {"CLAUDE_CODE_EXTRA_BODY": '{"stop_sequences":["END"]}', "CLAUDE_CODE_MAX_OUTPUT_TOKENS": "777"}
        ),
    )
    await cli.ask("hello")
    assert (last(upstream)["max_tokens"], last(upstream)["stop_sequences"]) == (777, ["END"])
    await cli.send(cli.protocol.set_environment({"CLAUDE_CODE_MAX_OUTPUT_TOKENS": ""}))
    await cli.ask("hello")
    assert last(upstream)["stop_sequences"] == ["END"]
    assert last(upstream)["max_tokens"] > 777


async def test_a_thinking_budget_of_nothing_turns_thinking_off(cli: Cli, upstream: StandIn) -> None:
    await cli.ask("hello")
    assert last(upstream)["thinking"]["type"] == "enabled"
    await cli.send(cli.protocol.set_thinking_budget(0))
    await cli.ask("hello")
    assert last(upstream)["thinking"] == {"type": "disabled"}


async def test_it_shows_updates_alone_of_the_thoughts_unless_the_extra_body_says_otherwise(
    cli: Cli, upstream: StandIn
) -> None:
    await cli.send(cli.protocol.set_thinking_budget(2_000))
    await cli.ask("hello")
    assert last(upstream)["thinking"] == {"type": "enabled", "budget_tokens": 2_000, "display": "updates"}
    body = '{"thinking":{"type":"enabled","budget_tokens":2000}}'
    await cli.send(cli.protocol.set_environment({"CLAUDE_CODE_EXTRA_BODY": body}))
    await cli.ask("hello")
    assert last(upstream)["thinking"] == {"type": "enabled", "budget_tokens": 2_000}


async def test_it_chooses_an_effort_of_its_own_where_none_is_named(cli: Cli, upstream: StandIn) -> None:
    await cli.send(cli.protocol.set_model("claude-opus-4-7", "", is_current=False))
    await cli.ask("hello")
    assert last(upstream)["output_config"] == {"effort": "xhigh"}


async def test_it_lowers_an_output_limit_to_the_model_s_own(cli: Cli, upstream: StandIn) -> None:
    await cli.send(cli.protocol.set_environment({"CLAUDE_CODE_MAX_OUTPUT_TOKENS": "128000"}))
    await cli.ask("hello")
    assert last(upstream)["max_tokens"] == 64_000


async def test_history_goes_in_as_turns(cli: Cli, upstream: StandIn) -> None:
    await cli.send(cli.protocol.load(user("question")))
    await cli.process.write(cli.protocol.append(Turn("assistant", (Text("answer"),)), MODEL))
    await cli.ask("next")
    assert [(m["role"], texts(m)) for m in last(upstream)["messages"]] == [
        ("user", ["question"]),
        ("assistant", ["answer"]),
        ("user", ["next"]),
    ]
    assert len(upstream.received) == 1


async def test_without_client_composed_a_prompt_could_run_a_command(cli: Cli, upstream: StandIn) -> None:
    frame = cli.protocol.ask(user("/cost"))
    del frame["client_composed"]
    await cli.send(frame)
    assert upstream.received == []
    await cli.ask("/cost")
    assert texts(last(upstream)["messages"][-1])[-1] == "/cost"


async def test_old_models_are_not_replaced(cli: Cli, upstream: StandIn) -> None:
    await cli.send(cli.protocol.set_model("claude-opus-4-1-20250805", "", is_current=False))
    await cli.ask("hello")
    assert last(upstream)["model"] == "claude-opus-4-1-20250805"


async def test_an_upstream_error_comes_as_assistant_text_with_its_status_in_the_result(cli: Cli) -> None:
    frames = await cli.ask("hi {{status 403}}")
    said = next(frame for frame in frames if frame["type"] == "assistant")
    ended = next(frame for frame in frames if frame["type"] == "result")
    assert "API Error: 403" in said["message"]["content"][0]["text"]
    assert (ended["subtype"], ended["is_error"], ended["api_error_status"]) == ("success", True, 403)


async def test_an_unsendable_header_keeps_the_next_request_inside_the_process(cli: Cli, upstream: StandIn) -> None:
    await cli.send(cli.protocol.set_environment({"ANTHROPIC_CUSTOM_HEADERS": "x-guard: \N{SNOWMAN}"}))
    assert (await cli.result_of("hello"))["is_error"]
    assert upstream.received == []
    await cli.send(cli.protocol.set_environment({"ANTHROPIC_CUSTOM_HEADERS": ""}))
    assert not (await cli.result_of("hello"))["is_error"]


async def test_at_max_tokens_the_cli_asks_the_model_to_go_on(cli: Cli, upstream: StandIn) -> None:
    await cli.ask("hi {{stop max_tokens}}")
    assert "Output token limit hit" in str(last(upstream)["messages"])
    assert len(upstream.chats) == 2


async def test_initialize_tells_login_models_and_version(cli: Cli) -> None:
    assert cli.protocol.account["apiKeySource"] == "ANTHROPIC_API_KEY"
    assert any(model.get("resolvedModel", "").startswith("claude-") for model in cli.protocol.models)
    assert cli.protocol.version == "2.1.330"


@pytest.fixture
async def agent(upstream: StandIn, tmp_path: Path) -> AsyncIterator[Cli]:
    """The binary with the command line of an agent, outside of any box."""
    launch = LaunchSettings(
        bundled_cli(),
        AuthMethod.API_KEY,
        MODEL,
        {"ANTHROPIC_API_KEY": STAND_IN_KEY, "ANTHROPIC_BASE_URL": upstream.url},
    )
    tools = ("Agent", "Bash", "Edit", "Glob", "Grep", "NotebookEdit", "Read", "WebSearch", "Write")
    env = agent_environment(launch, tmp_path, {"PATH": "/usr/bin:/bin"}, boxed=False)
    argv = (str(launch.cli_path), *agent_arguments(launch, tools, boxed=False))
    process = await Process.spawn(argv, env, tmp_path)
    started = Cli(process)
    started.protocol = Protocol(refusal=lambda _: "No rule allows this.")
    yield started
    process.kill()
    await process.ended()


async def test_an_agent_takes_the_callers_prompt_behind_its_own_with_its_first_job(
    agent: Cli, upstream: StandIn
) -> None:
    await agent.process.write(agent.protocol.set_thinking_budget(0))  # answered before it was initialized
    await agent.send(agent.protocol.initialize_with_own_prompt("the caller's"))
    await agent.ask("hello")
    prompt = last(upstream)["system"][-1]["text"]
    assert "the caller's" in prompt
    assert len(prompt) > 5_000
    await agent.send(agent.protocol.set_model(OTHER_MODEL, "", is_current=False))
    await agent.ask("hello")
    assert "the caller's" in last(upstream)["system"][-1]["text"]


async def test_an_agent_has_the_tools_that_it_was_started_with(agent: Cli, upstream: StandIn) -> None:
    await agent.send(agent.protocol.initialize_with_own_prompt(""))
    await agent.ask("hello")
    names = sorted(tool["name"] for tool in last(upstream)["tools"])
    assert names == ["Agent", "Bash", "Edit", "Glob", "Grep", "NotebookEdit", "Read", "WebSearch", "Write"]
    (bash,) = (tool for tool in last(upstream)["tools"] if tool["name"] == "Bash")
    assert "run_in_background" not in bash["input_schema"]["properties"]


async def test_what_changes_anything_is_asked_for_and_a_refusal_reaches_the_model(
    agent: Cli, upstream: StandIn
) -> None:
    await agent.send(agent.protocol.set_thinking_budget(0), agent.protocol.initialize_with_own_prompt(""))
    for call in ('Bash {"command": "touch x"}', 'Write {"file_path": "x", "content": "y"}'):
        upstream.forget()
        frames = [agent.protocol.ask(user(f"{{{{tool {call}}}}}"))]
        await agent.process.write(*frames)
        while agent.protocol.state is not State.IDLE:
            for frame in await agent.process.read():
                if answer := agent.protocol.receive(frame):
                    await agent.process.write(answer)
        assert "No rule allows this." in str(last(upstream)["messages"][-1])


async def test_an_agent_cannot_be_set_to_ask_nobody(agent: Cli) -> None:
    await agent.send(agent.protocol.initialize_with_own_prompt(""))
    with pytest.raises(ControlRefused, match="restricted"):
        await agent.send(agent.protocol.set_permission_mode("bypassPermissions"))
