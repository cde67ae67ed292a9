"""So many jobs of a key at once, and when to come back."""

import pytest

from claude_gateway.access.at_once import JobsAtOnce
from workers.errors import ErrorKind, WorkerError


def refused(jobs: JobsAtOnce, owner: str = "one") -> float:
    with pytest.raises(WorkerError) as raised, jobs.job(owner):
        pass
    assert raised.value.kind is ErrorKind.TOO_MANY_AT_ONCE
    assert raised.value.retry_after is not None
    return raised.value.retry_after


def test_one_more_is_refused_until_one_has_ended_however_it_ends() -> None:
    jobs = JobsAtOnce(lambda _: 2)

    with jobs.job("one"):
        with pytest.raises(ZeroDivisionError), jobs.job("one"), jobs.job("another"):
            1 / (refused(jobs) > 1_000)
        with jobs.job("one"):
            refused(jobs)


def test_who_has_no_limit_is_never_refused() -> None:
    jobs = JobsAtOnce(lambda owner: None if owner == "free" else 1)

    with jobs.job("free"), jobs.job("free"), jobs.job("one"):
        refused(jobs)


def test_the_wait_is_what_is_left_of_the_oldest_by_the_length_of_recent_jobs() -> None:
    now = 0.0
    jobs = JobsAtOnce(lambda _: 1, lambda: now)
    for _ in range(100):  # each of twenty seconds
        with jobs.job("one"):
            now += 20

    with jobs.job("one"):
        now += 5
        assert refused(jobs) == 15
        now += 100
        assert refused(jobs) == 1


def test_those_refused_together_are_told_different_times_by_when_jobs_end() -> None:
    now = 100.0
    jobs = JobsAtOnce(lambda _: 2, lambda: now)
    with jobs.job("one"):
        now += 2
        with jobs.job("one"):
            # A job is taken for five seconds before one was seen: they end at 105 and 107.
            assert [refused(jobs) for _ in range(4)] == [3, 6, 9, 12]
            now += 13
            assert refused(jobs) == 1


def test_a_refusal_says_which_limit_it_was_and_how_to_raise_it() -> None:
    jobs = JobsAtOnce(lambda _: 1)

    for owner, words in (("5f0c2a91b7de", "keys limit 5f0c2a91b7de --concurrent N"), ("environment", "JOBS_AT_ONCE")):
        with jobs.job(owner), pytest.raises(WorkerError, match=words), jobs.job(owner):
            pass


def test_a_lower_limit_holds_for_those_that_wait_and_the_first_come_first() -> None:
    limit = 3
    jobs = JobsAtOnce(lambda _: limit)

    with jobs.job("one") as first, jobs.job("one") as second, jobs.job("one") as third:
        limit = 2
        first()
        second()
        with pytest.raises(WorkerError) as raised:
            third()
    assert raised.value.kind is ErrorKind.TOO_MANY_AT_ONCE
