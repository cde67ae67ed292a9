from workers.rivals import Rivals


def test_a_key_competes_until_it_has_had_time_to_come_back() -> None:
    rivals = Rivals()

    assert not rivals.came("ann", now=0, back_by=30)
    assert not rivals.came("ann", now=1, back_by=31)
    assert rivals.came("bob", now=2, back_by=10)
    assert rivals.came("ann", now=9, back_by=39)
    assert not rivals.came("ann", now=31, back_by=61)
