"""Where a conversation can be cut back to."""

from hypothesis import given
from hypothesis import strategies as st

from tests.workers.helpers import user
from workers.job import Text, ToolResult, Turn
from workers.transcript import Transcript

RESULTS = Turn("user", (ToolResult("c", (Text("r"),)),))
names = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=6, unique=True)


def standing(befores: list[str], results_at: frozenset[int] = frozenset(), end: str | None = None) -> Transcript:
    transcript = Transcript()
    for number, before in enumerate(befores):
        transcript.add(before, f"uuid of {number}", RESULTS if number in results_at else user("x"))
    transcript.end = end
    return transcript


@given(names, st.frozensets(st.integers(1, 5)), names)
def test_what_stays_is_a_beginning_of_both(befores: list[str], results_at: frozenset[int], job: list[str]) -> None:
    stay, mark = standing(befores, results_at).way_back(tuple(job))
    assert mark is not None
    if stay:
        assert mark.before == job[stay]
    assert not mark.has_results


def test_nothing_goes_where_the_job_goes_on() -> None:
    assert standing(["0", "1"], end="2").way_back(("0", "1", "2")) == (2, None)


def test_nothing_need_go_from_an_empty_process() -> None:
    assert Transcript().way_back(("0", "1")) == (0, None)


def test_all_goes_for_a_stranger() -> None:
    transcript = standing(["0", "1"], end="2")
    stay, mark = transcript.way_back(("9",))
    assert stay == 0
    assert mark is not None
    transcript.cut(mark)
    assert transcript.newest is None
    assert transcript.way_back(("0", "1")) == (0, None)


def test_a_conversation_that_nobody_can_vouch_for_is_never_gone_on_with() -> None:
    transcript = standing(["0"], end="1")
    transcript.add("1", "uuid of 1", user("y"))
    assert transcript.end is None
    stay, mark = transcript.way_back(("0", "1"))
    assert (stay, mark) == (1, transcript.newest)


def test_in_front_of_results_there_is_no_way_back() -> None:
    transcript = standing(["0", "1", "2"], frozenset({1, 2}))
    assert transcript.before_newest is None
    stay, mark = transcript.way_back(("0", "1", "2"))
    assert mark is not None
    assert (stay, mark.before) == (0, "0")
