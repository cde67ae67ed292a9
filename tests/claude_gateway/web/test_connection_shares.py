"""Who holds how many of all connections, and whose is closed for another."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from claude_gateway.web.connection_shares import (
    GUEST_SILENCE_SECONDS,
    SCARCE_SILENCE_SECONDS,
    ConnectionShares,
    Place,
)

STRANGER, OTHER, PROXY = "192.0.2.1", "192.0.2.2", ""
LATER = 1_000.0


def nothing() -> None:
    pass


def come(shares: ConnectionShares, count: int, peer: str = STRANGER, now: float = 0.0) -> list[Place]:
    """So many connections, none of which finds the doors closed."""
    entered = [shares.enter(nothing, peer, now) for _ in range(count)]
    return [place for place, _ in entered if place is not None]


def ask(shares: ConnectionShares, place: Place, key: str = "", address: str | None = None) -> bool:
    shares.begin(place, place.address if address is None else address)
    return shares.bring(place, key) if key else True


def test_a_newcomer_takes_the_place_of_a_guest_of_the_address_that_has_most() -> None:
    shares = ConnectionShares(8)
    strangers = come(shares, 8)
    assert [place.is_guest for place in strangers] == [False] * 3 + [True] * 5

    place, victim = shares.enter(nothing, OTHER, 1.0)

    assert place is not None
    assert victim is strangers[3]
    assert len(shares) == 8


def test_the_share_of_one_address_leaves_room_for_another() -> None:
    shares = ConnectionShares(8)
    come(shares, 5)

    (other,) = come(shares, 1, OTHER)

    assert not other.is_guest


def test_a_guest_that_brings_nothing_is_closed_soon_and_one_that_brings_a_key_is_not() -> None:
    shares = ConnectionShares(8)
    strangers = come(shares, 6)
    ask(shares, strangers[5], "a key")
    shares.end(strangers[5], 0.0)

    assert shares.overdue(GUEST_SILENCE_SECONDS - 1) == []
    assert shares.overdue(GUEST_SILENCE_SECONDS) == strangers[3:5]
    assert len(shares) == 4


def test_silent_strangers_are_closed_early_only_while_there_are_few_places() -> None:
    roomy, scarce = ConnectionShares(8), ConnectionShares(8)
    come(roomy, 3)
    strangers = come(scarce, 3) + come(scarce, 3, OTHER) + come(scarce, 1, "192.0.2.3")

    assert roomy.overdue(LATER) == []
    assert set(scarce.overdue(SCARCE_SILENCE_SECONDS)) == set(strangers)


def test_whoever_is_being_answered_is_not_silent() -> None:
    shares = ConnectionShares(4)
    strangers = come(shares, 4)
    for place in strangers:
        ask(shares, place)

    assert shares.overdue(LATER) == []
    shares.end(strangers[0], LATER)
    _, victim = shares.enter(nothing, OTHER, LATER)
    assert victim is strangers[0]


def test_a_key_is_never_put_out_for_a_stranger_while_there_are_strangers() -> None:
    shares = ConnectionShares(8)
    keyed = come(shares, 4)
    for place in keyed:
        ask(shares, place, "a key")
    come(shares, 4)

    for _ in range(20):
        _, victim = shares.enter(nothing, STRANGER, 1.0)
        assert victim not in keyed


def test_where_only_keys_are_left_a_silent_one_of_the_key_with_most_gives_its_place_and_then_nobody() -> None:
    shares = ConnectionShares(4)
    places = come(shares, 4)
    for place, key in zip(places, ["one", "one", "one", "two"], strict=True):
        ask(shares, place, key)
    for place in (places[1], places[3]):
        shares.end(place, 1.0)

    assert shares.enter(nothing, OTHER, 2.0)[1] is places[1]
    newcomer = next(place for place in shares._places if place not in places)
    ask(shares, newcomer, "three")
    assert shares.enter(nothing, OTHER, 2.0)[1] is places[3]


def test_without_anybody_to_give_a_place_the_newcomer_finds_none() -> None:
    shares = ConnectionShares(2)
    for place in come(shares, 2):
        ask(shares, place, "a key" if place.is_guest else "another")

    assert shares.enter(nothing, OTHER, 1.0) == (None, None)


def test_requests_of_one_key_hold_three_quarters_at_most() -> None:
    shares = ConnectionShares(8)
    places = come(shares, 7)

    assert [ask(shares, place, "a key") for place in places] == [True] * 6 + [False]
    shares.end(places[0], 1.0)
    assert shares.bring(places[6], "a key")


def test_behind_a_trusted_proxy_a_request_counts_for_its_client_and_a_silent_connection_for_nobody() -> None:
    shares = ConnectionShares(16)
    proxied = come(shares, 10, PROXY)
    assert not any(place.is_guest for place in proxied)

    for place in proxied:
        ask(shares, place, address=STRANGER)
    assert [place.is_guest for place in proxied] == [False] * 6 + [True] * 4
    (other,) = come(shares, 1, PROXY)
    ask(shares, other, address=OTHER)
    assert not other.is_guest

    for place in proxied:
        shares.end(place, 1.0)
    assert {place.address for place in proxied} == {""}


def test_the_key_of_one_client_of_a_proxy_is_not_that_of_the_next() -> None:
    shares = ConnectionShares(4)
    (proxied,) = come(shares, 1, PROXY)
    ask(shares, proxied, "a key", STRANGER)
    shares.end(proxied, 1.0)

    assert proxied.key == ""


@given(
    st.integers(1, 6),
    st.lists(st.tuples(st.sampled_from("ebkxo"), st.integers(0, 9), st.sampled_from([STRANGER, OTHER, PROXY]))),
)
def test_whatever_happens_there_are_never_more_than_there_may_be_and_all_is_counted(
    limit: int, steps: list[tuple[str, int, str]]
) -> None:
    shares = ConnectionShares(limit)
    known: list[Place] = []
    for now, (what, which, name) in enumerate(steps):
        place = known[which % len(known)] if known else None
        if what == "e":
            entered, victim = shares.enter(nothing, name, float(now))
            assert victim is None or victim in known
            known += [entered] if entered else []
        elif place is not None:
            does: dict[str, Callable[[], object]] = {
                "b": lambda place=place, name=name: shares.begin(place, name),  # type: ignore[misc]
                "k": lambda place=place, which=which: shares.bring(place, str(which % 3)),  # type: ignore[misc]
                "x": lambda place=place, now=now: shares.end(place, float(now)),  # type: ignore[misc]
                "o": lambda place=place: shares.leave(place),  # type: ignore[misc]
            }
            does[what]()
        assert len(shares) <= limit
        assert shares._stranger_count == shares._strangers.total() == sum(not one.key for one in shares._places)
    for place in known:
        shares.leave(place)
    assert len(shares) == 0
    assert not shares._strangers
    assert not shares.is_scarce
