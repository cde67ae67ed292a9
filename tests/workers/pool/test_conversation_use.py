"""Tests of the use of conversations, by which the pool decides which one to give up."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from workers.pool.conversation_use import ConversationUse, FormerConversations

times = st.floats(0, 1e6)
uses = st.builds(
    ConversationUse, last_used_at=times, continued_count=st.integers(0, 3), mean_interval_seconds=st.floats(0, 1e6)
)


def continue_every(seconds: float, count: int, start: float = 0.0) -> ConversationUse:
    """Return the use of a conversation that its client continued `count` times at this interval."""
    use = ConversationUse(start)
    for number in range(1, count + 1):
        use = use.continue_at(start + number * seconds)
    return use


def order(now: float, **uses_by_name: ConversationUse) -> list[str]:
    """Return the names of conversations in the order in which the pool gives them up."""
    return sorted(uses_by_name, key=lambda name: uses_by_name[name].retention_rank(now))


def test_first_interval_is_the_mean_and_newer_ones_count_for_half() -> None:
    use = ConversationUse(0.0).continue_at(10.0)
    assert (use.continued_count, use.mean_interval_seconds) == (1, 10.0)
    use = use.continue_at(14.0)
    assert (use.continued_count, use.mean_interval_seconds, use.last_used_at) == (2, 7.0, 14.0)


def test_interval_does_not_contain_the_time_of_the_job() -> None:
    use = ConversationUse(0.0).continue_at(10.0).end_at(70.0).continue_at(80.0)
    assert use.mean_interval_seconds == 10.0


def test_clock_that_stands_still_gives_no_negative_interval() -> None:
    assert ConversationUse(5.0).continue_at(4.0).mean_interval_seconds == 0.0


def test_conversation_that_was_never_continued_is_given_up_first_and_the_oldest_of_them_before_others() -> None:
    assert order(
        100.0,
        slow=continue_every(50.0, 2),
        new=ConversationUse(99.0),
        old=ConversationUse(1.0),
    ) == ["old", "new", "slow"]


def test_conversation_whose_next_job_is_expected_last_is_given_up_first() -> None:
    assert order(
        60.0,
        due_in_5=ConversationUse(55.0, 1, 10.0),
        due_in_40=ConversationUse(50.0, 1, 50.0),
        late_by_10=ConversationUse(45.0, 1, 5.0),
    ) == ["due_in_40", "late_by_10", "due_in_5"]


def test_late_conversation_loses_rank_with_time() -> None:
    late, regular = ConversationUse(0.0, 5, 1.0), ConversationUse(0.0, 5, 100.0)
    assert order(40.0, late=late, regular=regular) == ["regular", "late"]
    assert order(80.0, late=late, regular=regular) == ["late", "regular"]


@given(uses, times)
def test_rank_of_a_late_conversation_never_rises(use: ConversationUse, late_seconds: float) -> None:
    due_at = use.last_used_at + use.mean_interval_seconds
    ranks = [use.retention_rank(due_at + late_seconds * factor) for factor in (1, 2, 3)]
    assert all(later <= earlier for earlier, later in pairwise(ranks))


@given(uses, uses, times)
def test_continued_conversation_ranks_above_one_that_never_was(
    use: ConversationUse, other: ConversationUse, now: float
) -> None:
    if use.continued_count and not other.continued_count:
        assert use.retention_rank(now) > other.retention_rank(now)


def test_remembers_the_use_of_the_newest_former_conversations_once() -> None:
    former = FormerConversations(2)
    for number, key in enumerate(("a", "b", "a", "c")):
        former.add(key, ConversationUse(number))
    assert [key in former for key in "abc"] == [True, False, True]
    assert former.pop("a") == ConversationUse(2)
    assert former.pop("a") is None
    assert "a" not in former


def test_former_conversation_counts_as_continued_when_its_client_returns() -> None:
    former = FormerConversations(1)
    former.add("a", ConversationUse(10.0))
    use = former.pop("a")
    assert use is not None
    assert use.continue_at(30.0) == ConversationUse(30.0, 1, 20.0)
