"""Contract checks for chat processes, which have no built-in tools.

The checks concern prompts, models, parameters, conversations, and the removal of turns from a conversation.
"""

from claude_gateway.devtools.cli_contract.check import ContractCheckRegistry, require, require_equal
from claude_gateway.devtools.cli_contract.driver import (
    MODEL,
    OTHER_MODEL,
    CliDriver,
    find_result,
    last_request_body,
    message_texts,
    user_turn,
)
from claude_gateway.devtools.fake_anthropic.server import FakeAnthropic
from workers.cli.protocol import CLI_TOOL_ALIASES, ProtocolState
from workers.cli.upstream_errors import parse_upstream_message
from workers.core.frame import Frame, encode_line
from workers.core.job import Text, ToolDefinition, ToolResult, ToolUse, Turn
from workers.parsing.turn_parser import REQUEST_LIMIT_SUBTYPE

contract_check = ContractCheckRegistry()

# Model names as clients and providers write them, each with the highest limit of output tokens that the CLI sends.
MAX_OUTPUT_TOKENS_BY_MODEL = {
    "claude-sonnet-4-5-20250929": 64_000,
    "claude-sonnet-4-5": 64_000,
    "claude-sonnet-4-5@20250929": 64_000,
    "claude-sonnet-4-5-thinking": 64_000,
    "CLAUDE-SONNET-4-5": 64_000,
    "us.anthropic.claude-sonnet-4-5-20250929-v1:0": 64_000,
    "claude-opus-4-5-20251101": 64_000,
    "claude-haiku-4-5-20251001": 64_000,
    "claude-sonnet-4-20250514": 64_000,
    "claude-sonnet-4-0": 64_000,
    "claude-3-7-sonnet-20250219": 64_000,
    "claude-opus-4-1-20250805": 32_000,
    "anthropic.claude-opus-4-1-20250805-v1:0": 32_000,
    "claude-opus-4-20250514": 32_000,
    "claude-opus-4": 32_000,
    "claude-3-5-haiku-20241022": 8_192,
    "claude-3-sonnet-20240229": 8_192,
    "claude-3-opus-20240229": 4_096,
    "claude-opus-4-6": 128_000,
    "claude-sonnet-4-6": 128_000,
    "claude-opus-5-5": 128_000,
    "claude-fable-5-2": 128_000,
    "claude-sonnet-4-50": 128_000,
    "claude-haiku-4": 128_000,
    "claude-of-tomorrow": 128_000,
}


@contract_check("The model must read only the texts of the client.")
async def a_new_process_sends_only_what_the_client_sent(cli: CliDriver, upstream: FakeAnthropic) -> None:
    await cli.ask("hello")
    require_equal(
        [(message["role"], message_texts(message)) for message in last_request_body(upstream)["messages"]],
        [("user", ["hello"])],
    )
    require_equal(len(last_request_body(upstream)["system"]), 2)  # the billing header and the name of the CLI


@contract_check("Otherwise a prompt could make the CLI read files and run commands on the host.")
async def no_builtin_tool_is_offered_with_an_empty_tool_list(cli: CliDriver, upstream: FakeAnthropic) -> None:
    await cli.ask("hello")
    require(not last_request_body(upstream).get("tools"), last_request_body(upstream).get("tools"))


@contract_check("A process serves one job after another, each with a different system prompt.")
async def a_system_prompt_can_be_set_and_changed_on_a_live_process(cli: CliDriver, upstream: FakeAnthropic) -> None:
    for prompt in ("first", "second"):
        await cli.send(cli.protocol.set_system_prompt(MODEL, prompt))
        await cli.ask("hello")
        require_equal(last_request_body(upstream)["system"][-1]["text"], prompt)


@contract_check("Jobs without a system prompt need a process that never had one, because the prompt cannot be cleared.")
async def an_empty_system_prompt_is_refused(cli: CliDriver, _: FakeAnthropic) -> None:
    frame = cli.protocol.set_system_prompt(MODEL, "x")
    frame["request"]["system_prompt"] = ""
    error = await cli.send_expecting_error(frame)
    require("non-empty" in error, error)


@contract_check("Changing the system prompt must not cause an upstream request.")
async def setting_the_current_model_sends_no_upstream_request(cli: CliDriver, upstream: FakeAnthropic) -> None:
    await cli.send(cli.protocol.set_system_prompt(MODEL, "prompt"))
    require_equal(len(upstream.requests), 0)


@contract_check("A job must not wait for a check of its model; its own request shows whether the model exists.")
async def switching_the_model_sends_no_upstream_request(cli: CliDriver, upstream: FakeAnthropic) -> None:
    await cli.send(cli.protocol.set_environment({"CLAUDE_CODE_MAX_OUTPUT_TOKENS": "7777"}))
    for model in (OTHER_MODEL, MODEL, "claude-opus-4-7"):
        await cli.send(cli.protocol.switch_model(model))
        await cli.ask("hello")
    sent = [(request.is_probe, request.body["model"], request.body["max_tokens"]) for request in upstream.requests]
    require_equal(sent, [(False, OTHER_MODEL, 7_777), (False, MODEL, 7_777), (False, "claude-opus-4-7", 7_777)])


@contract_check("Otherwise the gateway could not distinguish a process that waits for the model from one that hangs.")
async def a_setting_is_acknowledged_while_the_model_replies(cli: CliDriver, upstream: FakeAnthropic) -> None:
    await cli.process.write(cli.protocol.prompt(user_turn("{{hang}} hello")))
    await upstream.wait_for_request()
    await cli.process.write(cli.protocol.set_thinking_budget(0))
    while cli.protocol.has_pending_controls:
        await cli.receive()
    require_equal(cli.protocol.state, ProtocolState.REPLYING)


@contract_check("The gateway switches models only in empty conversations, and replays the history after the switch.")
async def a_model_switch_is_recorded_in_a_conversation_but_not_before_its_first_message(
    cli: CliDriver, upstream: FakeAnthropic
) -> None:
    before = await ask_question(cli, "before")
    await cli.send(rewind_frame(cli, before, before))
    await cli.send(cli.protocol.switch_model(OTHER_MODEL))
    await cli.ask("first")
    require_equal(last_request_body(upstream)["model"], OTHER_MODEL)
    require("/model" not in str(last_request_body(upstream)["messages"]), last_request_body(upstream)["messages"])
    await cli.send(cli.protocol.switch_model(MODEL))
    await cli.ask("second")
    require("/model" in str(last_request_body(upstream)["messages"]), last_request_body(upstream)["messages"])


def rewind_frame(cli: CliDriver, target: Frame, newest: Frame, *, to_reply: bool = False) -> Frame:
    """Return a control request that makes the CLI remove the last messages from its conversation.

    Args:
        cli: Connection to the process with the conversation.
        target: The frame of the first message that the CLI removes. The CLI also removes all later messages.
        newest: The frame of the newest user message in the conversation.
        to_reply: Whether `target` is a reply of the model. By default it is a user message.
    """
    return cli.protocol.rewind(target["uuid"], newest["uuid"], to_reply=to_reply)


async def ask_question(cli: CliDriver, text: str) -> Frame:
    """Send a prompt, wait for the reply, and return the prompt frame, which contains the id of the prompt."""
    question = cli.protocol.prompt(user_turn(text))
    await cli.send(question)
    return question


@contract_check("The gateway rewinds to clear a process, or to return to the common prefix of two conversations.")
async def a_conversation_can_be_rewound_to_before_any_question(cli: CliDriver, upstream: FakeAnthropic) -> None:
    questions = [await ask_question(cli, text) for text in ("zero", "one", "two", "three")]
    await cli.send(rewind_frame(cli, questions[2], questions[3]))
    require(cli.protocol.has_rewound, "the CLI did not rewind")
    again = await ask_question(cli, "TWO")
    sent = [message_texts(message) for message in last_request_body(upstream)["messages"]]
    require_equal(sent, [["zero"], ["zero"], ["one"], ["one"], ["TWO"]])
    await cli.send(rewind_frame(cli, questions[0], again))
    await cli.send(cli.protocol.switch_model(OTHER_MODEL))
    await cli.ask("new")
    require_equal(
        [(len(message["content"]), message_texts(message)) for message in last_request_body(upstream)["messages"]],
        [(1, ["new"])],
    )


@contract_check("After an error the process serves the next job, whose prompt must not contain the failed one.")
async def rewinding_a_failed_question_removes_everything_it_left(cli: CliDriver, upstream: FakeAnthropic) -> None:
    before = await ask_question(cli, "before")
    for fault in ("{{status 400}}", "{{status 529}}", "{{drop 1}}{{say a b c}}", "{{stop refusal}}"):
        failed = await ask_question(cli, f"bad {fault}")
        await cli.send(rewind_frame(cli, failed, failed))
        require(cli.protocol.has_rewound, f"the CLI did not rewind after {fault}")
        good = await ask_question(cli, "good")
        require_equal(
            [message_texts(message) for message in last_request_body(upstream)["messages"]],
            [["before"], ["before"], ["good"]],
        )
        await cli.send(rewind_frame(cli, good, good))
        require(cli.protocol.has_rewound, f"the CLI did not rewind to {before['uuid']}")


@contract_check("The gateway must know the newest question of each process.")
async def a_rewind_requires_the_id_of_the_newest_question(cli: CliDriver, _: FakeAnthropic) -> None:
    first = await ask_question(cli, "zero")
    await ask_question(cli, "one")
    await cli.send(rewind_frame(cli, first, first))
    require(not cli.protocol.has_rewound, "the CLI rewound")


@contract_check("The gateway repeats a prompt with tool results this way.")
async def a_question_with_tool_results_can_be_rewound_only_to_its_reply(
    cli: CliDriver, upstream: FakeAnthropic
) -> None:
    call = ToolUse("toolu_1", "f", {})
    await cli.send(cli.protocol.replay_user(user_turn("question")))
    await cli.process.write(cli.protocol.replay_assistant(Turn("assistant", (call,)), MODEL))
    results = cli.protocol.prompt(user_turn(ToolResult("toolu_1", (Text("r"),)), "and now?"))
    frames = await cli.send(results)
    reply_frame = next(frame for frame in frames if frame["type"] == "assistant")
    await cli.send(rewind_frame(cli, results, results))
    require(not cli.protocol.has_rewound, "the CLI rewound to before the results")
    await cli.send(rewind_frame(cli, reply_frame, results, to_reply=True))
    require(cli.protocol.has_rewound, "the CLI did not rewind to the reply")
    await cli.process.write(cli.protocol.replay_assistant(Turn("assistant", (Text("other words"),)), MODEL))
    await cli.ask("next")
    *_, results_sent, reply, _ = last_request_body(upstream)["messages"]
    require_equal((results_sent["content"][0]["tool_use_id"], message_texts(reply)), ("toolu_1", ["other words"]))


@contract_check("After a failed turn with tool results, the gateway removes the turn together with the call before it.")
async def a_tool_call_can_be_removed_with_its_results_only_behind_other_results(
    cli: CliDriver, upstream: FakeAnthropic
) -> None:
    async def fail_after_call() -> bool:
        """Let a turn with tool results fail, and return whether the CLI rewinds to the call before them."""
        call_frame = cli.protocol.replay_assistant(call, MODEL)
        await cli.process.write(call_frame)
        results = cli.protocol.prompt(user_turn(ToolResult("toolu_1", (Text("bad {{status 529}}"),))))
        await cli.send(results)
        await cli.send(rewind_frame(cli, call_frame, results, to_reply=True))
        return cli.protocol.has_rewound

    call = Turn("assistant", (ToolUse("toolu_1", "f", {}),))
    await cli.send(cli.protocol.replay_user(user_turn("question")))
    await cli.process.write(cli.protocol.replay_assistant(Turn("assistant", (ToolUse("toolu_0", "f", {}),)), MODEL))
    await cli.send(cli.protocol.replay_user(user_turn(ToolResult("toolu_0", (Text("r"),)))))
    for _ in range(2):
        require_equal(await fail_after_call(), True)
    await cli.process.write(cli.protocol.replay_assistant(call, MODEL))
    await cli.send(cli.protocol.prompt(user_turn(ToolResult("toolu_1", (Text("good"),)))))
    sent = last_request_body(upstream)["messages"]
    require_equal([message["role"] for message in sent], ["user", "assistant"] * 2 + ["user"])
    require("529" not in str(sent), sent)


@contract_check("After such a turn behind a plain question, the gateway removes the question too and replays it.")
async def a_tool_call_behind_a_plain_question_cannot_be_removed_alone(cli: CliDriver, _: FakeAnthropic) -> None:
    await cli.send(cli.protocol.replay_user(user_turn("question")))
    call_frame = cli.protocol.replay_assistant(Turn("assistant", (ToolUse("toolu_1", "f", {}),)), MODEL)
    await cli.process.write(call_frame)
    results = cli.protocol.prompt(user_turn(ToolResult("toolu_1", (Text("bad {{status 529}}"),))))
    await cli.send(results)
    await cli.send(rewind_frame(cli, call_frame, results, to_reply=True))
    require(not cli.protocol.has_rewound, "the CLI rewound to the call")


@contract_check("Each prompt must begin with the bytes of the previous one, so that the prompt cache matches.")
async def a_text_block_is_sent_upstream_as_a_block(cli: CliDriver, upstream: FakeAnthropic) -> None:
    await cli.ask("first")
    await cli.ask("second")
    require_equal(last_request_body(upstream)["messages"][0]["content"], [{"type": "text", "text": "first"}])


@contract_check("With an API key, the system prompt of a chat must be exactly the client's, or empty.")
async def a_system_prompt_in_the_extra_body_replaces_all_others(cli: CliDriver, upstream: FakeAnthropic) -> None:
    for system in ([{"type": "text", "text": "mine"}], []):
        body = {"CLAUDE_CODE_EXTRA_BODY": encode_line({"system": system}).decode()}
        await cli.send(cli.protocol.set_environment(body))
        await cli.ask("hello")
        require_equal(last_request_body(upstream)["system"], system)


@contract_check("Histories may contain this text, and the model must read it.")
async def a_no_content_message_is_dropped_unless_it_is_split_into_two_blocks(
    cli: CliDriver, upstream: FakeAnthropic
) -> None:
    reply = Turn("assistant", (Text("(no content)"),))
    await cli.send(cli.protocol.replay_user(user_turn("one")))
    await cli.process.write(cli.protocol.replay_assistant(reply, MODEL))
    await cli.ask("two")
    require_equal(
        [message["role"] for message in last_request_body(upstream)["messages"]], ["user", "assistant", "user"]
    )
    require_equal("".join(message_texts(last_request_body(upstream)["messages"][1])), "(no content)")


@contract_check("The gateway sets sampling, stop sequences, limits and schemas with environment variables.")
async def environment_variables_apply_from_the_next_request_until_overwritten(
    cli: CliDriver, upstream: FakeAnthropic
) -> None:
    variables = {"CLAUDE_CODE_EXTRA_BODY": '{"stop_sequences":["END"]}', "CLAUDE_CODE_MAX_OUTPUT_TOKENS": "777"}
    await cli.send(cli.protocol.set_thinking_budget(0), cli.protocol.set_environment(variables))
    await cli.ask("hello")
    require_equal(
        (last_request_body(upstream)["max_tokens"], last_request_body(upstream)["stop_sequences"]), (777, ["END"])
    )
    await cli.send(cli.protocol.set_environment({"CLAUDE_CODE_MAX_OUTPUT_TOKENS": ""}))
    await cli.ask("hello")
    require_equal(last_request_body(upstream)["stop_sequences"], ["END"])
    require(last_request_body(upstream)["max_tokens"] > 777, last_request_body(upstream)["max_tokens"])


@contract_check("A chat without thinking must not pay for thinking tokens.")
async def a_thinking_budget_of_zero_disables_thinking(cli: CliDriver, upstream: FakeAnthropic) -> None:
    await cli.ask("hello")
    require_equal(last_request_body(upstream)["thinking"]["type"], "enabled")
    await cli.send(cli.protocol.set_thinking_budget(0))
    await cli.ask("hello")
    require_equal(last_request_body(upstream)["thinking"], {"type": "disabled"})


@contract_check("Clients that request thinking must receive the full text.")
async def thinking_is_displayed_as_updates_unless_the_extra_body_overrides_it(
    cli: CliDriver, upstream: FakeAnthropic
) -> None:
    await cli.send(cli.protocol.set_thinking_budget(2_000))
    await cli.ask("hello")
    require_equal(
        last_request_body(upstream)["thinking"], {"type": "enabled", "budget_tokens": 2_000, "display": "updates"}
    )
    body = '{"thinking":{"type":"enabled","budget_tokens":2000}}'
    await cli.send(cli.protocol.set_environment({"CLAUDE_CODE_EXTRA_BODY": body}))
    await cli.ask("hello")
    require_equal(last_request_body(upstream)["thinking"], {"type": "enabled", "budget_tokens": 2_000})


@contract_check("The gateway sets the default of the API if the client sets no effort.")
async def the_cli_sets_an_effort_when_none_is_given(cli: CliDriver, upstream: FakeAnthropic) -> None:
    await cli.send(cli.protocol.switch_model("claude-opus-4-7"))
    await cli.ask("hello")
    require_equal(last_request_body(upstream)["output_config"], {"effort": "xhigh"})


@contract_check("The gateway warns clients of a lowered limit, and keeps the thinking budget below it.")
async def an_output_limit_is_lowered_to_the_maximum_of_the_model(cli: CliDriver, upstream: FakeAnthropic) -> None:
    await cli.send(cli.protocol.set_environment({"CLAUDE_CODE_MAX_OUTPUT_TOKENS": "1000000"}))
    limits = {}
    for model in MAX_OUTPUT_TOKENS_BY_MODEL:
        await cli.send(cli.protocol.switch_model(model))
        await cli.ask("hello")
        limits[model] = last_request_body(upstream)["max_tokens"]
    require_equal({model: limit for model, limit in limits.items() if limit != MAX_OUTPUT_TOKENS_BY_MODEL[model]}, {})


@contract_check("The gateway replays a conversation as turns, not as a transcript, and without upstream requests.")
async def history_is_sent_as_turns(cli: CliDriver, upstream: FakeAnthropic) -> None:
    await cli.ask("question", Turn("assistant", (Text("reply"),)), "next")
    sent = [(message["role"], message_texts(message)) for message in last_request_body(upstream)["messages"]]
    require_equal(sent, [("user", ["question"]), ("assistant", ["reply"]), ("user", ["next"])])
    require_equal(len(upstream.requests), 1)


@contract_check("This field keeps texts such as `/command` and `@/etc/passwd` of clients plain text.")
async def a_prompt_without_client_composed_can_run_a_command(cli: CliDriver, upstream: FakeAnthropic) -> None:
    frame = cli.protocol.prompt(user_turn("/cost"))
    del frame["client_composed"]
    await cli.send(frame)
    require_equal(len(upstream.requests), 0)
    await cli.ask("/cost")
    require_equal(message_texts(last_request_body(upstream)["messages"][-1])[-1], "/cost")


@contract_check("The requested model must reply, or the request must fail.")
async def old_models_are_not_replaced(cli: CliDriver, upstream: FakeAnthropic) -> None:
    await cli.send(cli.protocol.switch_model("claude-opus-4-1-20250805"))
    await cli.ask("hello")
    require_equal(last_request_body(upstream)["model"], "claude-opus-4-1-20250805")


@contract_check("The gateway turns upstream errors into HTTP statuses, not into text of the reply.")
async def an_upstream_error_is_reported_as_assistant_text_with_its_status_in_the_result(
    cli: CliDriver, _: FakeAnthropic
) -> None:
    frames = await cli.ask("hi {{status 403}}")
    text = next(frame for frame in frames if frame["type"] == "assistant")["message"]["content"][0]["text"]
    require("API Error: 403" in text, text)
    result = find_result(frames)
    require_equal((result["subtype"], result["is_error"], result["api_error_status"]), ("success", True, 403))


@contract_check("One prompt must be one upstream request, however the reply ends.")
async def with_zero_retries_a_turn_ends_where_the_cli_would_send_another_request(
    cli: CliDriver, upstream: FakeAnthropic
) -> None:
    await cli.send(cli.protocol.set_environment({"MAX_STRUCTURED_OUTPUT_RETRIES": "0"}))
    for ending in ("{{stop max_tokens}}", "{{think hm}}{{stop max_tokens}}", "{{empty}}", "{{tool unheard_of {}}}"):
        before = len(upstream.chat_requests)
        require_equal(find_result(await cli.ask(f"hi {ending}"))["subtype"], REQUEST_LIMIT_SUBTYPE)
        require_equal(len(upstream.chat_requests) - before, 1)
    require_equal(find_result(await cli.ask("hello"))["subtype"], "success")


@contract_check("After a call of an unknown tool, the rest of the reply must arrive, and the turn must end.")
async def a_call_of_an_unknown_tool_gets_its_result_during_the_reply_and_ends_the_turn(
    cli: CliDriver, upstream: FakeAnthropic
) -> None:
    await cli.send(cli.protocol.set_environment({"MAX_STRUCTURED_OUTPUT_RETRIES": "1000000"}))
    frames = await cli.ask("hi {{tool unheard_of {}}}{{tool unknown {}}}")
    require_equal(find_result(frames)["subtype"], "error_max_turns")
    require_equal(len(upstream.chat_requests), 1)
    result_index = next(number for number, frame in enumerate(frames) if frame["type"] == "user")
    end_index = next(n for n, frame in enumerate(frames) if frame.get("event", {}).get("type") == "message_delta")
    require(result_index < end_index, (result_index, end_index))


@contract_check("A client tool may have the name of the output tool of the CLI.")
async def the_cli_enforces_a_call_of_any_tool_named_as_its_output_tool_but_not_of_its_alias(
    cli: CliDriver, _: FakeAnthropic
) -> None:
    cases = [(name, True) for name in CLI_TOOL_ALIASES] + [(alias, False) for alias in CLI_TOOL_ALIASES.values()]
    for number, (tool_name, is_enforced) in enumerate(cases):
        cli.protocol.set_tools((ToolDefinition(tool_name, "", {}),))
        await cli.send(cli.protocol.set_mcp_servers((f"caller{number}",)))
        frames = await cli.ask("hello")
        require_equal("structured-output-enforce" in str(frames), is_enforced)


@contract_check("An empty reply is a valid reply, and the gateway must not request another one.")
async def an_empty_reply_is_reported_before_the_cli_requests_another(cli: CliDriver, upstream: FakeAnthropic) -> None:
    frames = await cli.ask("{{empty}}")
    reminder_index = next(number for number, frame in enumerate(frames) if frame.get("isSynthetic"))
    end_index = next(n for n, frame in enumerate(frames) if frame.get("event", {}).get("type") == "message_delta")
    require(end_index < reminder_index, (end_index, reminder_index))
    require(len(upstream.chat_requests) > 1, len(upstream.chat_requests))


@contract_check("This is why the gateway allows the CLI only one request for each prompt of a chat.")
async def the_cli_asks_the_model_to_continue_at_max_tokens(cli: CliDriver, upstream: FakeAnthropic) -> None:
    await cli.ask("hi {{stop max_tokens}}")
    require(
        "Output token limit hit" in str(last_request_body(upstream)["messages"]),
        last_request_body(upstream)["messages"],
    )
    require_equal(len(upstream.chat_requests), 2)


@contract_check("When a client disconnects, the upstream request must end, and the process must serve the next job.")
async def an_interrupt_ends_the_turn_and_closes_the_upstream_request(cli: CliDriver, upstream: FakeAnthropic) -> None:
    await cli.process.write(cli.protocol.prompt(user_turn("{{deltas 100000}}{{pace 0.01}}")))
    while not any(frame["type"] == "stream_event" for frame in await cli.receive()):
        pass
    frames = await cli.send(cli.protocol.interrupt())
    require_equal(find_result(frames)["terminal_reason"], "aborted_streaming")
    await upstream.chat_requests[-1].disconnected.wait()
    require_equal(find_result(await cli.ask("next"))["is_error"], False)


@contract_check("The gateway replaces a process that sends nothing, but waits for a slow model.")
async def the_cli_sends_an_init_frame_before_the_model_replies(cli: CliDriver, upstream: FakeAnthropic) -> None:
    await cli.process.write(cli.protocol.prompt(user_turn("{{delay 60}}")))
    while not any(frame.get("subtype") == "init" for frame in await cli.receive()):
        pass
    require(not any(request.ended.is_set() for request in upstream.chat_requests), "the model had replied")


@contract_check("The gateway reads the login, the models and the version from the CLI.")
async def initialize_returns_login_models_and_version(cli: CliDriver, _: FakeAnthropic) -> None:
    require_equal(cli.protocol.account.get("apiKeySource"), "ANTHROPIC_API_KEY")
    model_names = [model.get("resolvedModel", "") for model in cli.protocol.models]
    require(any(name.startswith("claude-") for name in model_names), model_names)
    require(cli.protocol.cli_version[:1].isdigit(), cli.protocol.cli_version)


@contract_check("The gateway computes the cost of a job as a difference, for usage records and budgets.")
async def the_cost_is_cumulative_per_process_and_includes_interrupted_turns(cli: CliDriver, _: FakeAnthropic) -> None:
    first = find_result(await cli.ask("{{usage input=1000 output=100 cache_read=5000 cache_write=2000}} hello"))
    second = find_result(await cli.ask("{{usage input=1000 output=100 cache_read=5000 cache_write=2000}} hello"))
    require(first["total_cost_usd"] > 0, first)
    require_equal(round(second["total_cost_usd"], 6), round(2 * first["total_cost_usd"], 6))
    await cli.process.write(
        cli.protocol.prompt(user_turn("{{usage input=1000 output=50}}{{deltas 2}}{{pace 9}} hello"))
    )
    while not any(frame.get("event", {}).get("type") == "message_start" for frame in await cli.receive()):
        pass
    interrupted = find_result(await cli.send(cli.protocol.interrupt()))
    require(interrupted["total_cost_usd"] > second["total_cost_usd"], interrupted)


@contract_check("The gateway reports the count of thinking tokens to clients.")
async def thinking_tokens_are_reported_with_the_output_tokens(cli: CliDriver, _: FakeAnthropic) -> None:
    frames = await cli.ask("{{usage output=50 thinking=20}} hello")
    events = [frame["event"] for frame in frames if frame["type"] == "stream_event"]
    (end,) = [event for event in events if event["type"] == "message_delta"]
    require_equal(end["usage"]["output_tokens_details"], {"thinking_tokens": 20})


@contract_check("Client programs react to the exact message of the upstream, which the frames often replace.")
async def the_upstream_error_message_of_a_rejected_request_is_written_to_stderr(
    cli: CliDriver, _: FakeAnthropic
) -> None:
    message = "prompt is too long: 215000 tokens > 200000 maximum"
    frames = await cli.ask(f"{{{{status 400}}}}{{{{message {message}}}}}")
    require_equal(find_result(frames)["result"], "Prompt is too long")
    stderr = cli.process.stderr_tail()
    require_equal(parse_upstream_message(stderr), message)
    require(not any(f"[{level}]" in stderr for level in ("DEBUG", "INFO", "WARN")), stderr[-200:])


@contract_check("Otherwise the log would contain errors of successful jobs.")
async def a_successful_reply_writes_nothing_to_stderr(cli: CliDriver, _: FakeAnthropic) -> None:
    before = cli.process.stderr_byte_count
    await cli.ask("hello")
    require_equal(cli.process.stderr_tail(before), "")
