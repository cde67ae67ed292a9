"""Who may hold how many of the connections that there may be. No I/O: moments come in, what is to be closed goes out.

A connection brings no key before it has sent a request, and until then every stranger can hold it. So those that
brought none may hold three quarters of all, and those of one address half of that. What comes beyond is let in all the
same, but as a guest: it brings a key or a request at once, or it is closed; where all connections are taken, a newcomer
takes the place of a guest. So a client with a key finds a place however many silent connections strangers hold.
"""

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass

# Silent: without a request that is being answered.
GUEST_SILENCE_SECONDS = 3.0
SCARCE_SILENCE_SECONDS = 10.0


@dataclass(slots=True, eq=False)
class Place:
    """One connection. `address` is whom it is counted with, "" for a trusted proxy that passes on no request just now;
    `since`: when it was opened or its last answer ended; `close` ends it."""

    close: Callable[[], None]
    peer: str
    address: str
    since: float
    is_guest: bool = False
    is_busy: bool = False
    key: str = ""


# The places of each address or key, those first that have been silent for longest.
_Group = defaultdict[str, dict[Place, None]]


class ConnectionShares:
    """At most `limit` places."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._of_strangers = max(1, limit - limit // 4)
        self._of_an_address = max(1, self._of_strangers // 2)
        self._of_a_key = max(1, limit * 3 // 4)
        self._places: set[Place] = set()
        self._strangers: Counter[str] = Counter()
        self._stranger_count = 0
        self._guests: _Group = defaultdict(dict)
        self._silent: _Group = defaultdict(dict)
        self._answered: _Group = defaultdict(dict)
        self._idle_with_key: _Group = defaultdict(dict)
        self._busy_with_key: _Group = defaultdict(dict)

    def __len__(self) -> int:
        return len(self._places)

    @property
    def is_scarce(self) -> bool:
        """Whether silent connections are closed early."""
        return 4 * len(self._places) > 3 * self._limit or bool(self._guests)

    def enter(self, close: Callable[[], None], peer: str, now: float) -> tuple[Place | None, Place | None]:
        """The place of a new connection, None where there is none; and the place to be closed for it. `peer` is the
        address that it comes from, "" for a trusted proxy."""
        victim = None
        if len(self._places) >= self._limit:
            victim = self._victim()
            if victim is None:
                return None, None
            self.leave(victim)
        place = Place(close, peer, peer, now)
        self._enlist(place)
        return place, victim

    def leave(self, place: Place) -> None:
        """Leaving twice changes nothing."""
        if place in self._places:
            self._strike(place)

    def begin(self, place: Place, address: str) -> None:
        """A request is there, in the name of `address`."""
        if place in self._places:
            self._strike(place)
            place.address, place.is_busy = address, True
            self._enlist(place)

    def bring(self, place: Place, key: str) -> bool:
        """The request has a key. False where other requests of that key hold all connections that it may."""
        if place not in self._places or place.key == key:
            return True
        if len(self._busy_with_key.get(key, ())) >= self._of_a_key:
            return False
        self._strike(place)
        place.key = key
        self._enlist(place)
        return True

    def end(self, place: Place, now: float) -> None:
        """The request has its answer. What a trusted proxy brings next may be somebody else's."""
        if place in self._places:
            self._strike(place)
            place.is_busy, place.since = False, now
            if not place.peer:
                place.key, place.address = "", ""
            self._enlist(place)

    def overdue(self, now: float) -> list[Place]:
        """What was silent for too long. It has left."""
        groups = [(self._guests, GUEST_SILENCE_SECONDS)]
        if self.is_scarce:
            groups.append((self._silent, SCARCE_SILENCE_SECONDS))
        found = [
            place
            for group, seconds in groups
            for places in group.values()
            for place in places
            if now - place.since >= seconds
        ]
        for place in found:
            self.leave(place)
        return found

    def _enlist(self, place: Place) -> None:
        self._places.add(place)
        if place.key:
            place.is_guest = False
        else:
            of_address = self._strangers[place.address] if place.address else 0
            place.is_guest = of_address >= self._of_an_address or self._stranger_count >= self._of_strangers
            self._strangers[place.address] += 1
            self._stranger_count += 1
        group, name = self._group_of(place)
        group[name][place] = None

    def _strike(self, place: Place) -> None:
        self._places.remove(place)
        group, name = self._group_of(place)
        del group[name][place]
        if not group[name]:
            del group[name]
        if not place.key:
            self._strangers[place.address] -= 1
            self._stranger_count -= 1
            if not self._strangers[place.address]:
                del self._strangers[place.address]

    def _group_of(self, place: Place) -> tuple[_Group, str]:
        if place.key:
            return (self._busy_with_key if place.is_busy else self._idle_with_key), place.key
        if place.is_busy:
            return self._answered, place.address
        return (self._guests if place.is_guest else self._silent), place.address

    def _victim(self) -> Place | None:
        """Guests first, then other silent strangers, then those who are being answered; and of each the first of the
        address that has most. Last a silent connection of the key that has most."""
        for group in (self._guests, self._silent, self._answered):
            if group:
                # A trusted proxy speaks for many.
                most = max(group, key=lambda address: (address != "", self._strangers[address]))
                return next(iter(group[most]))
        if self._idle_with_key:
            most = max(self._idle_with_key, key=lambda key: len(self._idle_with_key[key]))
            return next(iter(self._idle_with_key[most]))
        return None
