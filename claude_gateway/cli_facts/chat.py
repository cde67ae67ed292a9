"""What chat workers rely on: prompts, models, parameters, conversations and their cuts."""

from claude_gateway.cli_facts.bare_cli import MODEL, OTHER_MODEL, Cli, last, result, texts, user
from claude_gateway.cli_facts.fact import Facts, holds, same
from claude_gateway.demo.upstream import StandIn
from workers.frames import Frame
from workers.job import Text, ToolResult, ToolUse, Turn
from workers.protocol import State
from workers.upstream_words import upstream_message

fact = Facts()


@fact("Otherwise the model reads what no caller wrote.")
async def a_fresh_bare_process_sends_only_what_it_was_given(cli: Cli, upstream: StandIn) -> None:
    await cli.ask("hello")
    same([(message["role"], texts(message)) for message in last(upstream)["messages"]], [("user", ["hello"])])
    same(len(last(upstream)["system"]), 2)  # its billing mark and its own name; nothing else


@fact("Otherwise a caller's text could make it read and run things on this machine.")
async def no_built_in_tool_is_offered_with_an_empty_tool_list(cli: Cli, upstream: StandIn) -> None:
    await cli.ask("hello")
    holds(not last(upstream).get("tools"), last(upstream).get("tools"))


@fact("A process serves one job after another, each with a system prompt of its own.")
async def a_system_prompt_can_be_set_and_changed_on_a_live_process(cli: Cli, upstream: StandIn) -> None:
    for prompt in ("first", "second"):
        await cli.send(cli.protocol.set_model(MODEL, prompt, is_current=True))
        await cli.ask("hello")
        same(last(upstream)["system"][-1]["text"], prompt)


@fact("Jobs without a system prompt go to processes that never had one; were it accepted, they need not.")
async def an_empty_system_prompt_is_refused(cli: Cli, _: StandIn) -> None:
    frame = cli.protocol.set_model(MODEL, "x", is_current=True)
    frame["request"]["system_prompt"] = ""
    said = await cli.refusal(frame)
    holds("non-empty" in said, said)


@fact("A new system prompt must cost no upstream request.")
async def naming_the_current_model_asks_the_upstream_nothing(cli: Cli, upstream: StandIn) -> None:
    await cli.send(cli.protocol.set_model(MODEL, "prompt", is_current=True))
    same(len(upstream.received), 0)


@fact("The first job of a model waits for that check, the later ones do not.")
async def another_model_is_checked_upstream_once(cli: Cli, upstream: StandIn) -> None:
    for model in (OTHER_MODEL, MODEL, OTHER_MODEL):
        await cli.send(cli.protocol.set_model(model, "", is_current=False))
    seen = [(request.is_probe, request.body["model"]) for request in upstream.received]
    same(seen, [(True, OTHER_MODEL), (True, MODEL)])


@fact("Otherwise a process that waits for the upstream could not be told from one that is frozen.")
async def whatever_is_asked_beside_that_check_is_answered_before_it(cli: Cli, upstream: StandIn) -> None:
    upstream.checks.clear()
    await cli.process.write(cli.protocol.set_model(OTHER_MODEL, "", is_current=False))
    budget = cli.protocol.set_thinking_budget(0)
    try:
        await cli.process.write(budget)
        answered = [
            frame["response"]["request_id"] for frame in await cli.receive() if frame["type"] == "control_response"
        ]
    finally:
        upstream.checks.set()
    same(answered, [budget["request_id"]])
    await cli.send()


@fact("Otherwise a process that waits for the model's next word could not be told from one that is frozen.")
async def a_setting_is_answered_in_the_middle_of_an_answer(cli: Cli, upstream: StandIn) -> None:
    await cli.process.write(cli.protocol.ask(user("{{hang}} hello")))
    await upstream.arrived()
    await cli.process.write(cli.protocol.set_thinking_budget(0))
    while cli.protocol.waits_for_control:
        await cli.receive()
    same(cli.protocol.state, State.ANSWERING)


@fact("The gateway switches models in empty conversations alone, and puts the past back behind the switch.")
async def a_model_switch_is_noted_in_a_conversation_but_not_before_its_first_message(
    cli: Cli, upstream: StandIn
) -> None:
    await cli.ask("before")
    await cli.send(cli.protocol.clear())
    await cli.send(cli.protocol.set_model(OTHER_MODEL, "", is_current=False))
    await cli.ask("first")
    same(last(upstream)["model"], OTHER_MODEL)
    holds("/model" not in str(last(upstream)["messages"]), last(upstream)["messages"])
    await cli.send(cli.protocol.set_model(MODEL, "", is_current=False))
    await cli.ask("second")
    holds("/model" in str(last(upstream)["messages"]), last(upstream)["messages"])


@fact("The last resort for a conversation that cannot be cut.")
async def clear_forgets_the_conversation_and_leaves_three_marks(cli: Cli, upstream: StandIn) -> None:
    await cli.ask("before")
    await cli.send(cli.protocol.clear())
    await cli.ask("after")
    same(len(last(upstream)["messages"]), 1)
    *marks, mine = texts(last(upstream)["messages"][0])
    same((len(marks), mine), (3, "after"))


def rewind(cli: Cli, target: Frame, newest: Frame, *, to_reply: bool = False) -> Frame:
    return cli.protocol.rewind(target["uuid"], newest["uuid"], to_reply=to_reply)


async def asked(cli: Cli, text: str) -> Frame:
    """Ask; the question as it was sent, with its id."""
    question = cli.protocol.ask(user(text))
    await cli.send(question)
    return question


@fact("Processes are emptied between conversations this way, and branches go back to where they part.")
async def a_conversation_is_cut_in_front_of_any_question_and_nothing_is_left_of_the_rest(
    cli: Cli, upstream: StandIn
) -> None:
    questions = [await asked(cli, text) for text in ("zero", "one", "two", "three")]
    await cli.send(rewind(cli, questions[2], questions[3]))
    holds(cli.protocol.rewound, "it was not cut")
    again = await asked(cli, "TWO")
    seen = [texts(message) for message in last(upstream)["messages"]]
    same(seen, [["zero"], ["zero"], ["one"], ["one"], ["TWO"]])
    await cli.send(rewind(cli, questions[0], again))
    await cli.send(cli.protocol.set_model(OTHER_MODEL, "", is_current=False))
    await cli.ask("new")
    same([(len(message["content"]), texts(message)) for message in last(upstream)["messages"]], [(1, ["new"])])


@fact("After an error the process serves the next job, which must not see the failed one.")
async def what_a_failed_turn_left_goes_with_its_question(cli: Cli, upstream: StandIn) -> None:
    before = await asked(cli, "before")
    for trouble in ("{{status 400}}", "{{status 529}}", "{{drop 1}}{{say a b c}}", "{{stop refusal}}"):
        failed = await asked(cli, f"bad {trouble}")
        await cli.send(rewind(cli, failed, failed))
        holds(cli.protocol.rewound, f"not cut after {trouble}")
        good = await asked(cli, "good")
        same([texts(message) for message in last(upstream)["messages"]], [["before"], ["before"], ["good"]])
        await cli.send(rewind(cli, good, good))
        holds(cli.protocol.rewound, f"{before['uuid']} does not stand alone")


@fact("The gateway must know the newest question of each process.")
async def it_cuts_only_for_one_who_knows_the_newest_question(cli: Cli, _: StandIn) -> None:
    first = await asked(cli, "zero")
    await asked(cli, "one")
    await cli.send(rewind(cli, first, first))
    holds(not cli.protocol.rewound, "it was cut")


@fact("How a question that was results of tools is asked again.")
async def in_front_of_results_it_cuts_only_at_the_answer_to_them(cli: Cli, upstream: StandIn) -> None:
    call = ToolUse("toolu_1", "f", {})
    await cli.send(cli.protocol.load(user("question")))
    await cli.process.write(cli.protocol.append(Turn("assistant", (call,)), MODEL))
    results = cli.protocol.ask(user(ToolResult("toolu_1", (Text("r"),)), "and now?"))
    frames = await cli.send(results)
    answer = next(frame for frame in frames if frame["type"] == "assistant")
    await cli.send(rewind(cli, results, results))
    holds(not cli.protocol.rewound, "it was cut in front of the results")
    await cli.send(rewind(cli, answer, results, to_reply=True))
    holds(cli.protocol.rewound, "it was not cut at the answer")
    await cli.process.write(cli.protocol.append(Turn("assistant", (Text("other words"),)), MODEL))
    await cli.ask("next")
    *_, results_sent, reply, _ = last(upstream)["messages"]
    same((results_sent["content"][0]["tool_use_id"], texts(reply)), ("toolu_1", ["other words"]))


@fact("A prompt begins with the bytes of the one before, or the upstream's cache is lost.")
async def a_text_sent_as_a_block_stays_a_block_upstream(cli: Cli, upstream: StandIn) -> None:
    await cli.ask("first")
    await cli.ask("second")
    same(last(upstream)["messages"][0]["content"], [{"type": "text", "text": "first"}])


@fact("Sampling, stop sequences, limits and schemas go this way.")
async def variables_reach_the_next_request_and_stick_until_overwritten(cli: Cli, upstream: StandIn) -> None:
    variables = {"CLAUDE_CODE_EXTRA_BODY": '{"stop_sequences":["END"]}', "CLAUDE_CODE_MAX_OUTPUT_TOKENS": "777"}
    await cli.send(cli.protocol.set_thinking_budget(0), cli.protocol.set_environment(variables))
    await cli.ask("hello")
    same((last(upstream)["max_tokens"], last(upstream)["stop_sequences"]), (777, ["END"]))
    await cli.send(cli.protocol.set_environment({"CLAUDE_CODE_MAX_OUTPUT_TOKENS": ""}))
    await cli.ask("hello")
    same(last(upstream)["stop_sequences"], ["END"])
    holds(last(upstream)["max_tokens"] > 777, last(upstream)["max_tokens"])


@fact("A chat that asks for no thoughts pays for none.")
async def a_thinking_budget_of_nothing_turns_thinking_off(cli: Cli, upstream: StandIn) -> None:
    await cli.ask("hello")
    same(last(upstream)["thinking"]["type"], "enabled")
    await cli.send(cli.protocol.set_thinking_budget(0))
    await cli.ask("hello")
    same(last(upstream)["thinking"], {"type": "disabled"})


@fact("Callers who asked for their thoughts get them in full.")
async def it_shows_updates_alone_of_the_thoughts_unless_the_extra_body_says_otherwise(
    cli: Cli, upstream: StandIn
) -> None:
    await cli.send(cli.protocol.set_thinking_budget(2_000))
    await cli.ask("hello")
    same(last(upstream)["thinking"], {"type": "enabled", "budget_tokens": 2_000, "display": "updates"})
    body = '{"thinking":{"type":"enabled","budget_tokens":2000}}'
    await cli.send(cli.protocol.set_environment({"CLAUDE_CODE_EXTRA_BODY": body}))
    await cli.ask("hello")
    same(last(upstream)["thinking"], {"type": "enabled", "budget_tokens": 2_000})


@fact("The gateway names the API's own default where the caller names no effort.")
async def it_chooses_an_effort_of_its_own_where_none_is_named(cli: Cli, upstream: StandIn) -> None:
    await cli.send(cli.protocol.set_model("claude-opus-4-7", "", is_current=False))
    await cli.ask("hello")
    same(last(upstream)["output_config"], {"effort": "xhigh"})


@fact("A limit above the model's own is no reason to refuse a request.")
async def it_lowers_an_output_limit_to_what_the_model_takes(cli: Cli, upstream: StandIn) -> None:
    await cli.send(cli.protocol.set_environment({"CLAUDE_CODE_MAX_OUTPUT_TOKENS": "128000"}))
    await cli.ask("hello")
    same(last(upstream)["max_tokens"], 64_000)


@fact("Conversations are rebuilt as turns, never as a transcript, and without asking the model.")
async def history_goes_in_as_turns(cli: Cli, upstream: StandIn) -> None:
    await cli.ask("question", Turn("assistant", (Text("answer"),)), "next")
    seen = [(message["role"], texts(message)) for message in last(upstream)["messages"]]
    same(seen, [("user", ["question"]), ("assistant", ["answer"]), ("user", ["next"])])
    same(len(upstream.received), 1)


@fact("What keeps `/command` and `@/etc/passwd` of a caller plain text.")
async def without_its_mark_a_prompt_could_run_a_command(cli: Cli, upstream: StandIn) -> None:
    frame = cli.protocol.ask(user("/cost"))
    del frame["client_composed"]
    await cli.send(frame)
    same(len(upstream.received), 0)
    await cli.ask("/cost")
    same(texts(last(upstream)["messages"][-1])[-1], "/cost")


@fact("The model that was named answers, or there is an error.")
async def old_models_are_not_replaced(cli: Cli, upstream: StandIn) -> None:
    await cli.send(cli.protocol.set_model("claude-opus-4-1-20250805", "", is_current=False))
    await cli.ask("hello")
    same(last(upstream)["model"], "claude-opus-4-1-20250805")


@fact("Errors become statuses by it, and never chat text.")
async def an_upstream_error_comes_as_assistant_text_with_its_status_in_the_result(cli: Cli, _: StandIn) -> None:
    frames = await cli.ask("hi {{status 403}}")
    said = next(frame for frame in frames if frame["type"] == "assistant")["message"]["content"][0]["text"]
    holds("API Error: 403" in said, said)
    ended = result(frames)
    same((ended["subtype"], ended["is_error"], ended["api_error_status"]), ("success", True, 403))


@fact("The guard by which the CLI's own follow-up requests stay inside.")
async def an_unsendable_header_keeps_the_next_request_inside_the_process(cli: Cli, upstream: StandIn) -> None:
    await cli.send(cli.protocol.set_environment({"ANTHROPIC_CUSTOM_HEADERS": "x-guard: \N{SNOWMAN}"}))
    same(result(await cli.ask("hello"))["is_error"], True)
    same(len(upstream.received), 0)
    await cli.send(cli.protocol.set_environment({"ANTHROPIC_CUSTOM_HEADERS": ""}))
    same(result(await cli.ask("hello"))["is_error"], False)


@fact("Why the guard is armed near every output limit.")
async def at_max_tokens_it_asks_the_model_to_go_on(cli: Cli, upstream: StandIn) -> None:
    await cli.ask("hi {{stop max_tokens}}")
    holds("Output token limit hit" in str(last(upstream)["messages"]), last(upstream)["messages"])
    same(len(upstream.chats), 2)


@fact("A caller who leaves stops the bill, and the process serves the next one.")
async def an_interrupt_ends_the_turn_and_lets_the_upstream_go(cli: Cli, upstream: StandIn) -> None:
    await cli.process.write(cli.protocol.ask(user("{{deltas 100000}}{{pace 0.01}}")))
    while not any(frame["type"] == "stream_event" for frame in await cli.receive()):
        pass
    frames = await cli.send(cli.protocol.stop())
    same(result(frames)["terminal_reason"], "aborted_streaming")
    await upstream.chats[-1].left.wait()
    same(result(await cli.ask("next"))["is_error"], False)


@fact("A process that is stuck is found out by its silence, a slow model is waited for.")
async def it_says_something_at_once_when_it_is_asked_however_long_the_model_takes(cli: Cli, upstream: StandIn) -> None:
    await cli.process.write(cli.protocol.ask(user("{{delay 60}}")))
    while not any(frame.get("subtype") == "init" for frame in await cli.receive()):
        pass
    holds(not any(request.ended.is_set() for request in upstream.chats), "the model had answered")


@fact("Login, models and version are asked of the CLI, never guessed.")
async def initialize_tells_login_models_and_version(cli: Cli, _: StandIn) -> None:
    same(cli.protocol.account.get("apiKeySource"), "ANTHROPIC_API_KEY")
    named = [model.get("resolvedModel", "") for model in cli.protocol.models]
    holds(any(name.startswith("claude-") for name in named), named)
    holds(cli.protocol.version[:1].isdigit(), cli.protocol.version)


@fact("What a job cost is the difference, and the ledger and budgets count it.")
async def the_cost_is_a_sum_over_the_process_that_counts_what_was_stopped_too(cli: Cli, _: StandIn) -> None:
    first = result(await cli.ask("{{usage input=1000 output=100 cache_read=5000 cache_write=2000}} hello"))
    again = result(await cli.ask("{{usage input=1000 output=100 cache_read=5000 cache_write=2000}} hello"))
    holds(first["total_cost_usd"] > 0, first)
    same(round(again["total_cost_usd"], 6), round(2 * first["total_cost_usd"], 6))
    await cli.process.write(cli.protocol.ask(user("{{usage input=1000 output=50}}{{deltas 2}}{{pace 9}} hello")))
    while not any(frame.get("event", {}).get("type") == "message_start" for frame in await cli.receive()):
        pass
    stopped = result(await cli.send(cli.protocol.stop()))
    holds(stopped["total_cost_usd"] > again["total_cost_usd"], stopped)


@fact("Callers are told how much of an answer was thought.")
async def tokens_of_thoughts_are_told_with_those_of_the_answer(cli: Cli, _: StandIn) -> None:
    frames = await cli.ask("{{usage output=50 thinking=20}} hello")
    events = [frame["event"] for frame in frames if frame["type"] == "stream_event"]
    (end,) = [event for event in events if event["type"] == "message_delta"]
    same(end["usage"]["output_tokens_details"], {"thinking_tokens": 20})


@fact("Programs act on the upstream's own words, and the frames replace many of them.")
async def a_refused_request_is_written_to_stderr_in_the_upstream_s_words(cli: Cli, _: StandIn) -> None:
    words = "prompt is too long: 215000 tokens > 200000 maximum"
    frames = await cli.ask(f"{{{{status 400}}}}{{{{message {words}}}}}")
    same(result(frames)["result"], "Prompt is too long")
    said = cli.process.last_words()
    same(upstream_message(said), words)
    holds(not any(f"[{level}]" in said for level in ("DEBUG", "INFO", "WARN")), said[-200:])


@fact("Otherwise the log would tell of errors where there are none.")
async def nothing_of_an_answer_that_succeeds_is_written_to_stderr(cli: Cli, _: StandIn) -> None:
    before = cli.process.words
    await cli.ask("hello")
    same(cli.process.last_words(before), "")
