"""What chat workers rely on: prompts, models, parameters, conversations and their cuts."""

from claude_gateway.cli_facts.bare_cli import MODEL, OTHER_MODEL, Cli, last, result, texts, user
from claude_gateway.cli_facts.fact import Facts, holds, same
from claude_gateway.demo.upstream import StandIn
from workers.answer import ENDED_EARLY
from workers.frames import Frame, encode
from workers.job import Text, Tool, ToolResult, ToolUse, Turn
from workers.protocol import OFFERED_AS, State
from workers.upstream_words import upstream_message

fact = Facts()

# Names as clients and providers write them, and the highest limit that the CLI sends for each.
OUTPUT_LIMITS = {
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
        await cli.send(cli.protocol.set_system(MODEL, prompt))
        await cli.ask("hello")
        same(last(upstream)["system"][-1]["text"], prompt)


@fact("Jobs without a system prompt go to processes that never had one; were it accepted, they need not.")
async def an_empty_system_prompt_is_refused(cli: Cli, _: StandIn) -> None:
    frame = cli.protocol.set_system(MODEL, "x")
    frame["request"]["system_prompt"] = ""
    said = await cli.refusal(frame)
    holds("non-empty" in said, said)


@fact("A new system prompt must cost no upstream request.")
async def naming_the_current_model_asks_the_upstream_nothing(cli: Cli, upstream: StandIn) -> None:
    await cli.send(cli.protocol.set_system(MODEL, "prompt"))
    same(len(upstream.received), 0)


@fact("No job waits for a check of its model: whether there is one, the job's own request tells.")
async def a_model_that_is_a_live_setting_is_used_without_asking_the_upstream(cli: Cli, upstream: StandIn) -> None:
    await cli.send(cli.protocol.set_environment({"CLAUDE_CODE_MAX_OUTPUT_TOKENS": "7777"}))
    for model in (OTHER_MODEL, MODEL, "claude-opus-4-7"):
        await cli.send(cli.protocol.switch_model(model))
        await cli.ask("hello")
    seen = [(request.is_probe, request.body["model"], request.body["max_tokens"]) for request in upstream.received]
    same(seen, [(False, OTHER_MODEL, 7_777), (False, MODEL, 7_777), (False, "claude-opus-4-7", 7_777)])


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
    before = await asked(cli, "before")
    await cli.send(rewind(cli, before, before))
    await cli.send(cli.protocol.switch_model(OTHER_MODEL))
    await cli.ask("first")
    same(last(upstream)["model"], OTHER_MODEL)
    holds("/model" not in str(last(upstream)["messages"]), last(upstream)["messages"])
    await cli.send(cli.protocol.switch_model(MODEL))
    await cli.ask("second")
    holds("/model" in str(last(upstream)["messages"]), last(upstream)["messages"])


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
    await cli.send(cli.protocol.switch_model(OTHER_MODEL))
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


@fact("A chat with a key begins with the client's own words, or with none.")
async def a_system_prompt_in_the_extra_body_stands_in_the_place_of_all_others(cli: Cli, upstream: StandIn) -> None:
    for system in ([{"type": "text", "text": "mine"}], []):
        body = {"CLAUDE_CODE_EXTRA_BODY": encode({"system": system}).decode()}
        await cli.send(cli.protocol.set_environment(body))
        await cli.ask("hello")
        same(last(upstream)["system"], system)


@fact("Histories hold these words, and the model sees what the client sent.")
async def a_message_that_begins_with_no_content_is_dropped_unless_it_is_cut_in_two(cli: Cli, upstream: StandIn) -> None:
    words = Turn("assistant", (Text("(no content)"),))
    await cli.send(cli.protocol.load(user("one")))
    await cli.process.write(cli.protocol.append(words, MODEL))
    await cli.ask("two")
    same([message["role"] for message in last(upstream)["messages"]], ["user", "assistant", "user"])
    same("".join(texts(last(upstream)["messages"][1])), "(no content)")


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
    await cli.send(cli.protocol.switch_model("claude-opus-4-7"))
    await cli.ask("hello")
    same(last(upstream)["output_config"], {"effort": "xhigh"})


@fact("A client is told by how much its limit was lowered, and a thinking budget must stay below what is left.")
async def it_lowers_an_output_limit_to_what_the_model_takes(cli: Cli, upstream: StandIn) -> None:
    await cli.send(cli.protocol.set_environment({"CLAUDE_CODE_MAX_OUTPUT_TOKENS": "1000000"}))
    seen = {}
    for model in OUTPUT_LIMITS:
        await cli.send(cli.protocol.switch_model(model))
        await cli.ask("hello")
        seen[model] = last(upstream)["max_tokens"]
    same({model: limit for model, limit in seen.items() if limit != OUTPUT_LIMITS[model]}, {})


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
    await cli.send(cli.protocol.switch_model("claude-opus-4-1-20250805"))
    await cli.ask("hello")
    same(last(upstream)["model"], "claude-opus-4-1-20250805")


@fact("Errors become statuses by it, and never chat text.")
async def an_upstream_error_comes_as_assistant_text_with_its_status_in_the_result(cli: Cli, _: StandIn) -> None:
    frames = await cli.ask("hi {{status 403}}")
    said = next(frame for frame in frames if frame["type"] == "assistant")["message"]["content"][0]["text"]
    holds("API Error: 403" in said, said)
    ended = result(frames)
    same((ended["subtype"], ended["is_error"], ended["api_error_status"]), ("success", True, 403))


@fact("One question is one upstream request, however the answer ends.")
async def without_further_requests_a_turn_ends_where_the_cli_would_ask_again(cli: Cli, upstream: StandIn) -> None:
    await cli.send(cli.protocol.set_environment({"MAX_STRUCTURED_OUTPUT_RETRIES": "0"}))
    for ending in ("{{stop max_tokens}}", "{{think hm}}{{stop max_tokens}}", "{{empty}}", "{{tool unheard_of {}}}"):
        before = len(upstream.chats)
        same(result(await cli.ask(f"hi {ending}"))["subtype"], ENDED_EARLY)
        same(len(upstream.chats) - before, 1)
    same(result(await cli.ask("hello"))["subtype"], "success")


@fact("Behind a call of a tool that was not offered the rest of the answer is read, and then the turn ends.")
async def a_call_of_an_unknown_tool_is_answered_within_the_answer_and_ends_a_turn(cli: Cli, upstream: StandIn) -> None:
    await cli.send(cli.protocol.set_environment({"MAX_STRUCTURED_OUTPUT_RETRIES": "1000000"}))
    frames = await cli.ask("hi {{tool unheard_of {}}}{{tool unknown {}}}")
    same(result(frames)["subtype"], "error_max_turns")
    same(len(upstream.chats), 1)
    answered = next(number for number, frame in enumerate(frames) if frame["type"] == "user")
    ended = next(n for n, frame in enumerate(frames) if frame.get("event", {}).get("type") == "message_delta")
    holds(answered < ended, (answered, ended))


@fact("A client may have a tool of the name by which the CLI knows its own.")
async def with_a_schema_it_insists_on_a_call_of_any_tool_of_that_name_but_not_of_its_alias(
    cli: Cli, _: StandIn
) -> None:
    offers = [(name, True) for name in OFFERED_AS] + [(alias, False) for alias in OFFERED_AS.values()]
    for number, (offered, insists) in enumerate(offers):
        cli.protocol.offer((Tool(offered, "", {}),))
        await cli.send(cli.protocol.set_servers((f"caller{number}",)))
        frames = await cli.ask("hello")
        same("structured-output-enforce" in str(frames), insists)


@fact("An answer without a word is an answer, and no reason to ask again.")
async def of_an_answer_without_a_word_it_tells_before_it_asks_for_one(cli: Cli, upstream: StandIn) -> None:
    frames = await cli.ask("{{empty}}")
    nudge = next(number for number, frame in enumerate(frames) if frame.get("isSynthetic"))
    whole = next(n for n, frame in enumerate(frames) if frame.get("event", {}).get("type") == "message_delta")
    holds(whole < nudge, (whole, nudge))
    holds(len(upstream.chats) > 1, len(upstream.chats))


@fact("Why a chat allows no further requests.")
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
