import pytest

from workers.scheduling.wait_estimate import MeanDuration, RetryTimes, round_wait_seconds


def test_mean_starts_with_the_initial_value() -> None:
    assert MeanDuration(5.0).seconds == 5.0


def test_mean_moves_a_fifth_of_the_way_to_each_new_duration() -> None:
    mean = MeanDuration(5.0)

    mean.add(10.0)
    mean.add(1.0)

    assert mean.seconds == pytest.approx(6.0 - 1.0)


def test_forgets_retry_times_that_have_passed() -> None:
    times = RetryTimes(10)
    for retry_at in (3.0, 1.0, 2.0):
        times.add(retry_at)

    assert times.list_pending(1.0) == [3.0, 2.0]
    assert times.list_pending(3.0) == []


def test_remembers_a_bounded_number_of_retry_times() -> None:
    times = RetryTimes(2)
    for retry_at in (1.0, 2.0, 3.0):
        times.add(retry_at)

    assert times.list_pending(0.0) == [1.0, 2.0]


@pytest.mark.parametrize(("seconds", "rounded"), [(-1.0, 1.0), (0.2, 1.0), (1.0, 1.0), (1.01, 2.0)])
def test_rounds_a_wait_up_to_whole_seconds(seconds: float, rounded: float) -> None:
    assert round_wait_seconds(seconds) == rounded
