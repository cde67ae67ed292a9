"""Rules that divide the maximum number of connections among the clients. No I/O.

The calling code passes the current time and closes the connections. Any client can open a connection without a key,
because a client sends its key only with its first request. A connection is anonymous until the client sends a key. At
most three quarters of all connections may be anonymous, and at most half of these may come from one address. Each
further anonymous connection is provisional. The gateway closes a provisional connection if the client does not send a
request at once. If all connections are in use, a new connection replaces a provisional one. Therefore a client with a
key gets a connection, even if clients without a key hold many idle connections.
"""

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

# The maximum idle time of a provisional connection, and that of other anonymous connections while few connections are
# free. A connection is idle while the gateway handles no request that came over it.
MAX_PROVISIONAL_IDLE_SECONDS = 3.0
MAX_SCARCE_IDLE_SECONDS = 10.0


@dataclass(slots=True, eq=False)
class TrackedConnection:
    """Entry for one open connection.

    Attributes:
        close: Closes the connection.
        peer: The address at the other end of the connection; "" if a trusted proxy is at the other end.
        address: The address of the client; "" if a trusted proxy is connected and sends no request at this time.
        idle_since: The time when the connection was opened, or when the last response was complete.
        is_provisional: Whether the connection is anonymous and exceeds the limits for anonymous connections.
        is_busy: Whether the gateway is handling a request that came over the connection.
        key_id: The id of the key that the client sent; "" if the connection is anonymous.
    """

    close: Callable[[], None]
    peer: str
    address: str
    idle_since: float
    is_provisional: bool = False
    is_busy: bool = False
    key_id: str = ""


# Maps each address or key id to its connections, in the order in which the gateway added them to the group.
_ConnectionGroup = defaultdict[str, dict[TrackedConnection, None]]


class ConnectionShares:
    """Register of the open connections. It groups them by address or key.

    Args:
        limit: The maximum number of connections.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._max_anonymous = max(1, limit - limit // 4)
        self._max_anonymous_per_address = max(1, self._max_anonymous // 2)
        self._max_busy_per_key = max(1, limit * 3 // 4)
        self._connections: set[TrackedConnection] = set()
        self._anonymous_by_address: Counter[str] = Counter()
        self._anonymous_count = 0
        self._provisional: _ConnectionGroup = defaultdict(dict)
        self._idle_anonymous: _ConnectionGroup = defaultdict(dict)
        self._busy_anonymous: _ConnectionGroup = defaultdict(dict)
        self._idle_with_key: _ConnectionGroup = defaultdict(dict)
        self._busy_with_key: _ConnectionGroup = defaultdict(dict)

    def __len__(self) -> int:
        return len(self._connections)

    @property
    def is_scarce(self) -> bool:
        """Whether so many connections are open that the gateway closes idle ones early."""
        return 4 * len(self._connections) > 3 * self._limit or bool(self._provisional)

    def add(
        self, close: Callable[[], None], peer: str, now: float
    ) -> tuple[TrackedConnection | None, TrackedConnection | None]:
        """Add a new connection. If all connections are in use, choose another connection that the new one replaces.

        Args:
            close: Closes the new connection.
            peer: The address at the other end of the connection; "" if a trusted proxy is at the other end.
            now: The current time.

        Returns:
            Two values. The first is the entry of the new connection; None if the calling code must close the new
            connection. The second is the entry of the connection that the calling code must close instead; None if
            there is none.
        """
        victim = None
        if len(self._connections) >= self._limit:
            victim = self._choose_victim()
            if victim is None:
                return None, None
            self.remove(victim)
        connection = TrackedConnection(close, peer, peer, now)
        self._add_to_group(connection)
        return connection, victim

    def remove(self, connection: TrackedConnection) -> None:
        """Remove a connection. A second call does nothing."""
        if connection in self._connections:
            self._remove_from_group(connection)

    def start_request(self, connection: TrackedConnection, address: str) -> None:
        """Record that a request has begun on a connection. Record the address of the client that sent the request."""
        if connection in self._connections:
            self._remove_from_group(connection)
            connection.address, connection.is_busy = address, True
            self._add_to_group(connection)

    def assign_key(self, connection: TrackedConnection, key_id: str) -> bool:
        """Record the key of the current request on a connection.

        Returns:
            False if other requests of the key already use as many connections as one key may use.
        """
        if connection not in self._connections or connection.key_id == key_id:
            return True
        if len(self._busy_with_key.get(key_id, ())) >= self._max_busy_per_key:
            return False
        self._remove_from_group(connection)
        connection.key_id = key_id
        self._add_to_group(connection)
        return True

    def finish_request(self, connection: TrackedConnection, now: float) -> None:
        """Record that the response to the current request is complete.

        If the connection belongs to a trusted proxy, the next request on it may come from another client. Therefore the
        connection then loses its key and address.
        """
        if connection in self._connections:
            self._remove_from_group(connection)
            connection.is_busy, connection.idle_since = False, now
            if not connection.peer:
                connection.key_id, connection.address = "", ""
            self._add_to_group(connection)

    def remove_overdue(self, now: float, max_count: int = 100) -> list[TrackedConnection]:
        """Remove the connections that have been idle for too long, at most `max_count` of them, and return them."""
        groups = [(self._provisional, MAX_PROVISIONAL_IDLE_SECONDS)]
        if self.is_scarce:
            groups.append((self._idle_anonymous, MAX_SCARCE_IDLE_SECONDS))
        overdue = (
            connection
            for group, seconds in groups
            for connections in group.values()
            for connection in connections
            if now - connection.idle_since >= seconds
        )
        removed = list(islice(overdue, max_count))
        for connection in removed:
            self.remove(connection)
        return removed

    def _add_to_group(self, connection: TrackedConnection) -> None:
        self._connections.add(connection)
        if connection.key_id:
            connection.is_provisional = False
        else:
            address_count = self._anonymous_by_address[connection.address] if connection.address else 0
            connection.is_provisional = (
                address_count >= self._max_anonymous_per_address or self._anonymous_count >= self._max_anonymous
            )
            self._anonymous_by_address[connection.address] += 1
            self._anonymous_count += 1
        group, name = self._find_group(connection)
        group[name][connection] = None

    def _remove_from_group(self, connection: TrackedConnection) -> None:
        self._connections.remove(connection)
        group, name = self._find_group(connection)
        del group[name][connection]
        if not group[name]:
            del group[name]
        if not connection.key_id:
            self._anonymous_by_address[connection.address] -= 1
            self._anonymous_count -= 1
            if not self._anonymous_by_address[connection.address]:
                del self._anonymous_by_address[connection.address]

    def _find_group(self, connection: TrackedConnection) -> tuple[_ConnectionGroup, str]:
        if connection.key_id:
            return (self._busy_with_key if connection.is_busy else self._idle_with_key), connection.key_id
        if connection.is_busy:
            return self._busy_anonymous, connection.address
        return (self._provisional if connection.is_provisional else self._idle_anonymous), connection.address

    def _choose_victim(self) -> TrackedConnection | None:
        """Choose the connection that the gateway closes for a new one. Return None if it may close none.

        The gateway prefers provisional connections, then idle anonymous ones, then busy anonymous ones. In each group
        it takes one from the address with the most anonymous connections. If there is no anonymous connection, it takes
        an idle connection of the key with the most idle connections.
        """
        for group in (self._provisional, self._idle_anonymous, self._busy_anonymous):
            if group:
                # The gateway chooses a connection of a trusted proxy last, because many clients use it.
                largest = max(group, key=lambda address: (address != "", self._anonymous_by_address[address]))
                return next(iter(group[largest]))
        if self._idle_with_key:
            largest = max(self._idle_with_key, key=lambda key_id: len(self._idle_with_key[key_id]))
            return next(iter(self._idle_with_key[largest]))
        return None
