from workers.scheduling.active_keys import ActiveKeys


def test_key_competes_until_it_has_had_time_to_retry() -> None:
    active_keys = ActiveKeys()

    assert not active_keys.touch("ann", now=0, active_until=30)
    assert not active_keys.touch("ann", now=1, active_until=31)
    assert active_keys.touch("bob", now=2, active_until=10)
    assert active_keys.touch("ann", now=9, active_until=39)
    assert not active_keys.touch("ann", now=31, active_until=61)
