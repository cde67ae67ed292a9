"""Shares of connections, and the choice of the connection to close."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from claude_gateway.web.server.connection_shares import (
    MAX_PROVISIONAL_IDLE_SECONDS,
    MAX_SCARCE_IDLE_SECONDS,
    ConnectionShares,
    TrackedConnection,
)

ADDRESS, OTHER_ADDRESS, PROXY = "192.0.2.1", "192.0.2.2", ""
LATER = 1_000.0


def do_nothing() -> None:
    pass


def add_connections(
    shares: ConnectionShares, count: int, peer: str = ADDRESS, now: float = 0.0
) -> list[TrackedConnection]:
    """Add connections from an address, and return those that were accepted."""
    added = [shares.add(do_nothing, peer, now) for _ in range(count)]
    return [connection for connection, _ in added if connection is not None]


def start_request(
    shares: ConnectionShares, connection: TrackedConnection, key_id: str = "", address: str | None = None
) -> bool:
    shares.start_request(connection, connection.address if address is None else address)
    return shares.assign_key(connection, key_id) if key_id else True


def test_new_connection_replaces_an_anonymous_one_of_the_largest_address() -> None:
    shares = ConnectionShares(8)
    anonymous = add_connections(shares, 8)
    assert [connection.is_provisional for connection in anonymous] == [False] * 3 + [True] * 5

    connection, victim = shares.add(do_nothing, OTHER_ADDRESS, 1.0)

    assert connection is not None
    assert victim is anonymous[3]
    assert len(shares) == 8


def test_share_of_one_address_leaves_connections_to_another() -> None:
    shares = ConnectionShares(8)
    add_connections(shares, 5)

    (other,) = add_connections(shares, 1, OTHER_ADDRESS)

    assert not other.is_provisional


def test_closes_anonymous_connection_without_a_request_early_and_keeps_one_with_a_key() -> None:
    shares = ConnectionShares(8)
    anonymous = add_connections(shares, 6)
    start_request(shares, anonymous[5], "a key")
    shares.finish_request(anonymous[5], 0.0)

    assert shares.remove_overdue(MAX_PROVISIONAL_IDLE_SECONDS - 1) == []
    assert shares.remove_overdue(MAX_PROVISIONAL_IDLE_SECONDS) == anonymous[3:5]
    assert len(shares) == 4


def test_closes_idle_anonymous_connections_early_only_if_few_are_free() -> None:
    few, many = ConnectionShares(8), ConnectionShares(8)
    add_connections(few, 3)
    anonymous = (
        add_connections(many, 3) + add_connections(many, 3, OTHER_ADDRESS) + add_connections(many, 1, "192.0.2.3")
    )

    assert few.remove_overdue(LATER) == []
    assert set(many.remove_overdue(MAX_SCARCE_IDLE_SECONDS)) == set(anonymous)


def test_closes_overdue_connections_in_small_groups() -> None:
    shares = ConnectionShares(8)
    add_connections(shares, 8)

    assert [len(shares.remove_overdue(MAX_PROVISIONAL_IDLE_SECONDS, 3)) for _ in range(3)] == [3, 2, 0]


def test_busy_connection_is_not_idle() -> None:
    shares = ConnectionShares(4)
    anonymous = add_connections(shares, 4)
    for connection in anonymous:
        start_request(shares, connection)

    assert shares.remove_overdue(LATER) == []
    shares.finish_request(anonymous[0], LATER)
    _, victim = shares.add(do_nothing, OTHER_ADDRESS, LATER)
    assert victim is anonymous[0]


def test_never_closes_a_connection_with_a_key_while_there_are_anonymous_ones() -> None:
    shares = ConnectionShares(8)
    with_key = add_connections(shares, 4)
    for connection in with_key:
        start_request(shares, connection, "a key")
    add_connections(shares, 4)

    for _ in range(20):
        _, victim = shares.add(do_nothing, ADDRESS, 1.0)
        assert victim not in with_key


def test_closes_an_idle_connection_of_the_largest_key_if_all_have_a_key() -> None:
    shares = ConnectionShares(4)
    connections = add_connections(shares, 4)
    for connection, key_id in zip(connections, ["one", "one", "one", "two"], strict=True):
        start_request(shares, connection, key_id)
    for connection in (connections[1], connections[3]):
        shares.finish_request(connection, 1.0)

    assert shares.add(do_nothing, OTHER_ADDRESS, 2.0)[1] is connections[1]
    new_connection = next(connection for connection in shares._connections if connection not in connections)
    start_request(shares, new_connection, "three")
    assert shares.add(do_nothing, OTHER_ADDRESS, 2.0)[1] is connections[3]


def test_rejects_new_connection_if_none_can_be_closed() -> None:
    shares = ConnectionShares(2)
    for connection in add_connections(shares, 2):
        start_request(shares, connection, "a key" if connection.is_provisional else "another")

    assert shares.add(do_nothing, OTHER_ADDRESS, 1.0) == (None, None)


def test_requests_of_one_key_use_at_most_three_quarters() -> None:
    shares = ConnectionShares(8)
    connections = add_connections(shares, 7)

    assert [start_request(shares, connection, "a key") for connection in connections] == [True] * 6 + [False]
    shares.finish_request(connections[0], 1.0)
    assert shares.assign_key(connections[6], "a key")


def test_request_behind_a_trusted_proxy_counts_for_the_address_of_its_client() -> None:
    shares = ConnectionShares(16)
    proxied = add_connections(shares, 10, PROXY)
    assert not any(connection.is_provisional for connection in proxied)

    for connection in proxied:
        start_request(shares, connection, address=ADDRESS)
    assert [connection.is_provisional for connection in proxied] == [False] * 6 + [True] * 4
    (other,) = add_connections(shares, 1, PROXY)
    start_request(shares, other, address=OTHER_ADDRESS)
    assert not other.is_provisional

    for connection in proxied:
        shares.finish_request(connection, 1.0)
    assert {connection.address for connection in proxied} == {""}


def test_key_of_one_client_of_a_proxy_does_not_apply_to_the_next() -> None:
    shares = ConnectionShares(4)
    (proxied,) = add_connections(shares, 1, PROXY)
    start_request(shares, proxied, "a key", ADDRESS)
    shares.finish_request(proxied, 1.0)

    assert proxied.key_id == ""


@given(
    st.integers(1, 6),
    st.lists(st.tuples(st.sampled_from("ebkxo"), st.integers(0, 9), st.sampled_from([ADDRESS, OTHER_ADDRESS, PROXY]))),
)
def test_never_exceeds_the_limit_and_counts_correctly_in_any_sequence(
    limit: int, steps: list[tuple[str, int, str]]
) -> None:
    shares = ConnectionShares(limit)
    known: list[TrackedConnection] = []
    for now, (action, index, address) in enumerate(steps):
        connection = known[index % len(known)] if known else None
        if action == "e":
            added, victim = shares.add(do_nothing, address, float(now))
            assert victim is None or victim in known
            known += [added] if added else []
        elif connection is not None:
            actions: dict[str, Callable[[], object]] = {
                "b": lambda connection=connection, address=address: shares.start_request(connection, address),  # type: ignore[misc]
                "k": lambda connection=connection, index=index: shares.assign_key(connection, str(index % 3)),  # type: ignore[misc]
                "x": lambda connection=connection, now=now: shares.finish_request(connection, float(now)),  # type: ignore[misc]
                "o": lambda connection=connection: shares.remove(connection),  # type: ignore[misc]
            }
            actions[action]()
        assert len(shares) <= limit
        assert (
            shares._anonymous_count
            == shares._anonymous_by_address.total()
            == sum(not connection.key_id for connection in shares._connections)
        )
    for connection in known:
        shares.remove(connection)
    assert len(shares) == 0
    assert not shares._anonymous_by_address
    assert not shares.is_scarce
