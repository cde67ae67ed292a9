"""What of an answer that must be JSON passes, when, and in which order."""

from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gateway.structured.json_output import JsonAnswer, asked_again, in_words
from tests.claude_gateway.dialects.adapters import DIALECTS
from tests.claude_gateway.dialects.event_streams import answers as whole_answers
from tests.claude_gateway.dialects.event_streams import settled
from tests.claude_gateway.dialects.face import Dialect
from tests.claude_gateway.scripted import FINISHED, JOB, STARTED
from workers.events import (
    BlockEnded,
    BlockStarted,
    Event,
    Finished,
    InputDelta,
    Restarted,
    Signed,
    Started,
    StopReason,
    TextDelta,
    ThinkingDelta,
    Usage,
)
from workers.job import OutputSchema, Text, Thought, ToolUse, Tuning, Turn

SCHEMA = {"type": "object", "required": ["a"]}
WANTED = replace(JOB, tuning=Tuning(output=OutputSchema(SCHEMA, "place"), temperature=0.5))

THOUGHT: tuple[Event, ...] = (BlockStarted(Thought("", "")), ThinkingDelta("hm"), Signed("s"), BlockEnded())
CALL: tuple[Event, ...] = (BlockStarted(ToolUse("t1", "look", {})), InputDelta("{}"), BlockEnded())
pieces = st.lists(st.text(max_size=4), max_size=3)
texts = pieces.map(lambda said: (BlockStarted(Text("")), *map(TextDelta, said), BlockEnded()))
blocks = st.lists(texts | st.sampled_from([THOUGHT, CALL]), max_size=5)
answers = blocks.map(lambda all_of_them: [event for block in all_of_them for event in block])


def text(*said: str) -> tuple[Event, ...]:
    return (BlockStarted(Text("")), *map(TextDelta, said), BlockEnded())


def end(reason: StopReason = "end_turn", used: Usage = Usage(1, 2, 3, 4)) -> Finished:  # noqa: B008 - frozen
    return Finished(reason, used)


def passed(answer: JsonAnswer, *events: Event) -> list[Event]:
    return [one for event in events for one in answer.feed(event)]


def said(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def is_well_formed(events: list[Event]) -> bool:
    """Every block is opened and closed once, one after another, and everything else stands in one."""
    is_open = False
    for event in events:
        if isinstance(event, BlockStarted | BlockEnded):
            if is_open is isinstance(event, BlockStarted):
                return False
            is_open = not is_open
        elif not is_open and not isinstance(event, Started | Finished):
            return False
    return not is_open


def test_live_everything_but_the_end_passes_at_once() -> None:
    answer = JsonAnswer(live=True, streamed=True)
    events = [STARTED, *THOUGHT, *text("{", "}")]

    assert passed(answer, *events) == events
    assert passed(answer, end()) == []
    assert answer.to_check
    assert answer.text == "{}"
    assert answer.rest() == [end()]


def test_held_back_nothing_passes_from_the_first_word_on() -> None:
    answer = JsonAnswer(live=False, streamed=True)

    assert passed(answer, STARTED, *THOUGHT) == [STARTED, *THOUGHT]
    assert passed(answer, *text("{", "}"), *THOUGHT, *CALL, end()) == []
    assert answer.rest() == [*text("{}"), *THOUGHT, *CALL, end()]


def test_texts_around_a_thought_become_one() -> None:
    answer = JsonAnswer(live=False, streamed=True)
    passed(answer, STARTED, *text('{"a":'), *THOUGHT, *text("1}"), end())

    assert answer.text == '{"a":1}'
    assert answer.rest() == [*text('{"a":1}'), *THOUGHT, end()]


@given(answers, st.sampled_from(["end_turn", "tool_use", "max_tokens", "refusal"]))
def test_what_passes_is_well_formed_and_says_the_same(events: list[Event], reason: StopReason) -> None:
    answer = JsonAnswer(live=False, streamed=True)
    passing = [*passed(answer, STARTED, *events, end(reason)), *answer.rest()]

    assert is_well_formed(passing)
    assert said(passing) == answer.text if reason == "end_turn" else passing == [STARTED, *events, end(reason)]
    kept = [event for event in passing if not isinstance(event, TextDelta | BlockEnded | BlockStarted)]
    assert kept == [event for event in [STARTED, *events, end(reason)] if type(event) in map(type, kept)]


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
@given(whole_answers())
def test_held_back_or_not_a_stream_adds_up_to_its_body_in_every_dialect(dialect: Dialect, events: list[Event]) -> None:
    answer = JsonAnswer(live=False, streamed=True)
    passing = [*passed(answer, *events), *answer.rest()]
    streamed, whole = dialect.read_stream(dialect.stream(passing)), dialect.read_body(dialect.body(passing))

    assert settled(streamed.said) == settled(whole.said)
    assert "".join(one.text for one in whole.said if one.kind == "text") in (answer.text, answer.said)


@pytest.mark.parametrize("reason", ["tool_use", "max_tokens", "refusal", "stop_sequence"])
def test_what_the_model_did_not_call_done_is_not_checked(reason: StopReason) -> None:
    answer = JsonAnswer(live=False, streamed=True)
    passed(answer, STARTED, *text("```\nno", " json\n```"), *CALL, end(reason))

    assert not answer.to_check
    assert answer.rest() == [*text("```\nno", " json\n```"), *CALL, end(reason)]


@pytest.mark.parametrize(
    ("model_said", "caller_gets"),
    [
        ("{}", "{}"),
        ("```json\n{}\n```", "{}"),
        ('\n```\n{"a": "```"}\n```  \n', '{"a": "```"}'),
        ("```jsonc \n[\n1\n]\n   ```", "[\n1\n]"),
        ("Here: ```json\n{}\n```", "Here: ```json\n{}\n```"),
        ("```json {} ```", "```json {} ```"),
    ],
)
def test_a_fence_around_the_whole_answer_goes(model_said: str, caller_gets: str) -> None:
    answer = JsonAnswer(live=False, streamed=True)
    passed(answer, STARTED, *text(*model_said), end())

    assert (answer.said, answer.text) == (model_said, caller_gets)
    assert said(answer.rest()) == caller_gets


def test_live_no_fence_can_go() -> None:
    answer = JsonAnswer(live=True, streamed=True)
    passed(answer, *text("```\n{}\n```"), end())

    assert answer.text == "```\n{}\n```"


def test_a_second_answer_takes_the_place_of_the_first_and_both_are_paid_for() -> None:
    answer = JsonAnswer(live=False, streamed=True)
    passed(answer, STARTED, *text("wrong"), end(used=Usage(1, 2, 3, 4)))

    assert answer.again() == []
    assert passed(answer, Started("another"), *THOUGHT) == list(THOUGHT)
    passed(answer, *text("{}"), end(used=Usage(10, 20, 30, 40)))
    assert answer.rest() == [*text("{}"), end(used=Usage(11, 22, 33, 44))]


@pytest.mark.parametrize(("streamed", "told"), [(True, []), (False, [Restarted()])])
def test_the_thoughts_of_the_first_answer_go_with_it_where_nobody_saw_them(streamed: bool, told: list[Event]) -> None:
    answer = JsonAnswer(live=False, streamed=streamed)
    passed(answer, STARTED, *THOUGHT, *text("wrong"), end())

    assert answer.again() == told


def test_a_restart_of_what_nobody_saw_is_not_told() -> None:
    answer = JsonAnswer(live=False, streamed=True)

    assert passed(answer, STARTED, *text("half"), Restarted(), *text("{}"), end()) == [STARTED]
    assert answer.rest() == [*text("{}"), end()]


@pytest.mark.parametrize("live", [True, False])
def test_a_restart_behind_a_thought_is_told(live: bool) -> None:
    answer = JsonAnswer(live=live, streamed=True)

    assert passed(answer, STARTED, *THOUGHT[:2], Restarted())[-1] == Restarted()


def test_an_answer_without_an_end_has_none() -> None:
    answer = JsonAnswer(live=False, streamed=True)
    passed(answer, STARTED, TextDelta("half"))

    assert answer.rest() == [TextDelta("half")]


def test_in_words_the_schema_stands_in_the_system_prompt_and_nothing_else_changes() -> None:
    asked = in_words(replace(WANTED, system="Be brief."))

    assert asked.system.startswith("Be brief.\n\n")
    assert orjson.dumps(SCHEMA).decode() in asked.system
    assert asked == replace(WANTED, system=asked.system, tuning=Tuning(temperature=0.5))
    assert "\n\n" not in in_words(WANTED).system


def test_any_object_is_asked_for_without_a_schema() -> None:
    asked = in_words(replace(JOB, tuning=Tuning(output=OutputSchema(None, "place"))))

    assert "JSON object" in asked.system
    assert "Schema" not in asked.system


@pytest.mark.parametrize(("answer", "turn"), [("no", "no"), (" \n", "(no text)")])
def test_asked_again_the_conversation_goes_on_with_the_faults(answer: str, turn: str) -> None:
    again = asked_again(WANTED, answer, ["$.a: missing", "$.b: wrong"])

    first, assistant, user = again.turns
    assert (first,) == WANTED.turns
    assert assistant == Turn("assistant", (Text(turn),))
    assert user.role == "user"
    assert "\n- $.a: missing\n- $.b: wrong\n" in str(user.blocks[0].text)  # type: ignore[union-attr]
    assert replace(again, turns=WANTED.turns) == WANTED


@pytest.mark.parametrize(("end", "fenced"), [("x", False), ("\n```", True), (" ```x", False)])
def test_a_page_of_blanks_is_no_trouble(end: str, fenced: bool) -> None:
    """A caller can order one. In quadratic time this test would not end today."""
    answer = JsonAnswer(live=False, streamed=False)
    inside = "{" + " \t" * 2_000_000
    passed(answer, STARTED, *text(f"```json\n{inside}{end}"), FINISHED)

    right = answer.text == (inside if fenced else f"```json\n{inside}{end}")
    assert right
