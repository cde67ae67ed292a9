"""Points to which a conversation can be rewound."""

from hypothesis import given
from hypothesis import strategies as st

from tests.workers.helpers import user_turn
from workers.conversation.transcript import Transcript
from workers.core.job import Text, ToolResult, Turn

RESULTS = Turn("user", (ToolResult("c", (Text("r"),)),))
key_lists = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=6, unique=True)


def make_transcript(
    prefix_keys: list[str], results_at: frozenset[int] = frozenset(), conversation_key: str | None = None
) -> Transcript:
    transcript = Transcript()
    for number, prefix_key in enumerate(prefix_keys):
        transcript.add_user_turn(prefix_key, f"uuid of {number}", RESULTS if number in results_at else user_turn("x"))
    transcript.conversation_key = conversation_key
    return transcript


@given(key_lists, st.frozensets(st.integers(1, 5)), key_lists)
def test_keeps_a_common_prefix_of_process_and_job(
    prefix_keys: list[str], results_at: frozenset[int], job_keys: list[str]
) -> None:
    kept_turns, mark = make_transcript(prefix_keys, results_at).find_rewind_point(tuple(job_keys))
    assert mark is not None
    if kept_turns:
        assert mark.prefix_key == job_keys[kept_turns]
    assert not mark.has_tool_results


def test_removes_nothing_if_the_job_continues_the_conversation() -> None:
    assert make_transcript(["0", "1"], conversation_key="2").find_rewind_point(("0", "1", "2")) == (2, None)


def test_removes_nothing_from_an_empty_process() -> None:
    assert Transcript().find_rewind_point(("0", "1")) == (0, None)


def test_removes_all_turns_without_a_common_prefix() -> None:
    transcript = make_transcript(["0", "1"], conversation_key="2")
    kept_turns, mark = transcript.find_rewind_point(("9",))
    assert kept_turns == 0
    assert mark is not None
    transcript.truncate_at(mark)
    assert transcript.newest_mark is None
    assert transcript.find_rewind_point(("0", "1")) == (0, None)


def test_does_not_continue_a_conversation_with_an_unfinished_reply() -> None:
    transcript = make_transcript(["0"], conversation_key="1")
    transcript.add_user_turn("1", "uuid of 1", user_turn("y"))
    assert transcript.conversation_key is None
    kept_turns, mark = transcript.find_rewind_point(("0", "1"))
    assert (kept_turns, mark) == (1, transcript.newest_mark)


def test_rewinds_to_before_tool_results_if_the_id_of_their_call_is_known() -> None:
    transcript = make_transcript(["0", "1"], frozenset({1}))
    transcript.add_user_turn("2", "uuid of 2", RESULTS, "uuid of the call")
    assert transcript.previous_conversation_key == "2"
    assert transcript.find_rewind_point(("0", "1", "2")) == (2, transcript.newest_mark)


def test_does_not_rewind_to_before_tool_results_of_an_unknown_call() -> None:
    transcript = make_transcript(["0", "1", "2"], frozenset({1, 2}))
    kept_turns, mark = transcript.find_rewind_point(("0", "1", "2"))
    assert mark is not None
    assert (kept_turns, mark.prefix_key) == (0, "0")
