"""A key that sends very many requests is slowed down as long as other keys send some too."""

from claude_gateway.access.request_pacing import PacingLimits, RequestPacer

LIMITS = PacingLimits(burst=4, per_second=2, contended_seconds=10, max_wait_seconds=1)


def test_a_key_alone_never_waits() -> None:
    pacer = RequestPacer(LIMITS)

    assert {pacer.wait("a", 0.0) for _ in range(1000)} == {0.0}


def test_beside_another_key_it_waits_behind_its_burst_and_is_refused_where_that_would_be_too_long() -> None:
    pacer = RequestPacer(LIMITS)
    pacer.wait("b", 0.0)

    waits = [pacer.wait("a", 0.0) for _ in range(9)]

    assert waits == [0, 0, 0, 0, 0, 0.5, 1, 1.5, 1.5]  # what is refused costs nothing
    assert pacer.wait("b", 0.0) == 0


def test_what_it_sent_is_forgotten_at_its_pace() -> None:
    pacer = RequestPacer(LIMITS)
    pacer.wait("b", 0.0)
    for _ in range(7):
        pacer.wait("a", 0.0)

    assert pacer.wait("a", 1.0) == 0.5
    assert pacer.wait("a", 9.0) == 0


def test_a_key_that_was_alone_does_not_pay_for_what_it_sent_then() -> None:
    pacer = RequestPacer(LIMITS)
    for _ in range(1000):
        pacer.wait("a", 0.0)
    pacer.wait("b", 1.0)

    assert pacer.wait("a", 1.0) == 0


def test_other_keys_count_for_some_seconds_however_many_requests_came_since() -> None:
    pacer = RequestPacer(LIMITS)
    pacer.wait("b", 0.0)
    for _ in range(7):
        pacer.wait("a", 5.0)

    assert pacer.wait("a", 5.0) > 0
    assert pacer.wait("a", 10.0) == 0
    assert {pacer.wait("a", 10.0) for _ in range(100)} == {0}


def test_the_bytes_of_a_body_cost_as_much_as_requests() -> None:
    pacer = RequestPacer(LIMITS)
    pacer.wait("b", 0.0)

    pacer.add_body("a", 5 * 128 * 1024, 0.0)

    assert pacer.wait("a", 0.0) == 0.5


def test_keys_that_have_sent_nothing_for_long_are_forgotten() -> None:
    pacer = RequestPacer(LIMITS)
    for number in range(5000):
        pacer.wait(f"{number}", number * 10.0)

    assert len(pacer._spending._spent) <= 1001
