"""A key that sends very many requests is slowed down as long as other keys send some too."""

from claude_gateway.auth.request_pacing import PacingLimits, RequestPacer

LIMITS = PacingLimits(burst=4, per_second=2, contended_seconds=10, max_wait_seconds=1)


def test_single_key_never_waits() -> None:
    pacer = RequestPacer(LIMITS)

    assert {pacer.wait_seconds("a", 0.0) for _ in range(1000)} == {0.0}


def test_key_waits_after_its_burst_while_another_key_is_active_and_is_rejected_if_too_long() -> None:
    pacer = RequestPacer(LIMITS)
    pacer.wait_seconds("b", 0.0)

    waits = [pacer.wait_seconds("a", 0.0) for _ in range(9)]

    assert waits == [0, 0, 0, 0, 0, 0.5, 1, 1.5, 1.5]  # rejected requests cost nothing
    assert pacer.wait_seconds("b", 0.0) == 0


def test_spending_decays_at_the_configured_rate() -> None:
    pacer = RequestPacer(LIMITS)
    pacer.wait_seconds("b", 0.0)
    for _ in range(7):
        pacer.wait_seconds("a", 0.0)

    assert pacer.wait_seconds("a", 1.0) == 0.5
    assert pacer.wait_seconds("a", 9.0) == 0


def test_key_does_not_pay_for_requests_it_sent_alone() -> None:
    pacer = RequestPacer(LIMITS)
    for _ in range(1000):
        pacer.wait_seconds("a", 0.0)
    pacer.wait_seconds("b", 1.0)

    assert pacer.wait_seconds("a", 1.0) == 0


def test_keys_compete_for_some_seconds_after_a_request_of_another_key() -> None:
    pacer = RequestPacer(LIMITS)
    pacer.wait_seconds("b", 0.0)
    for _ in range(7):
        pacer.wait_seconds("a", 5.0)

    assert pacer.wait_seconds("a", 5.0) > 0
    assert pacer.wait_seconds("a", 10.0) == 0
    assert {pacer.wait_seconds("a", 10.0) for _ in range(100)} == {0}


def test_body_bytes_cost_as_much_as_requests() -> None:
    pacer = RequestPacer(LIMITS)
    pacer.wait_seconds("b", 0.0)

    pacer.add_body("a", 5 * 128 * 1024, 0.0)

    assert pacer.wait_seconds("a", 0.0) == 0.5


def test_forgets_idle_keys() -> None:
    pacer = RequestPacer(LIMITS)
    for number in range(5000):
        pacer.wait_seconds(f"{number}", number * 10.0)

    assert len(pacer._spending._spent_by_key) <= 1001
