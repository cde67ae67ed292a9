"""What stands in a process's conversation, and where it can be cut back to. Pure."""

from dataclasses import dataclass

from workers.continuation import Beginnings
from workers.job import ToolResult, Turn


@dataclass(frozen=True, slots=True)
class Mark:
    """One of the user's turns in the process, under the id by which the CLI knows it.

    `before` names the conversation up to it. The CLI does not cut in front of a turn that holds results: that would
    part a call from them.
    """

    before: str
    uuid: str
    has_results: bool


class Transcript:
    """The marks in their order. `end` names the whole conversation, None while nobody can say what stands behind
    the last mark: an answer that is running, failed or was left."""

    def __init__(self) -> None:
        self.end: str | None = None
        self._marks: list[Mark] = []
        self._places: dict[str, int] = {}

    @property
    def newest(self) -> Mark | None:
        return self._marks[-1] if self._marks else None

    @property
    def before_newest(self) -> str | None:
        """The conversation to which giving up the last exchange leads back, where that is possible."""
        return None if self.newest is None or self.newest.has_results else self.newest.before

    def add(self, before: str, uuid: str, turn: Turn) -> None:
        """A turn of the user's went in."""
        self._places[before] = len(self._marks)
        self._marks.append(Mark(before, uuid, any(isinstance(block, ToolResult) for block in turn.blocks)))
        self.end = None

    def way_back(self, names: Beginnings) -> tuple[int, Mark | None]:
        """How many of the user's turns of a job can stay, and the mark to cut at; None where nothing need go.

        The longest beginning that the two have in common; where there is none, all of it goes.
        """
        if self.end in names:
            return names.index(self.end), None
        for number in range(len(names) - 1, -1, -1):
            place = self._places.get(names[number])
            if place is not None and not self._marks[place].has_results:
                return number, self._marks[place]
        return 0, self._marks[0] if self._marks else None

    def cut(self, mark: Mark) -> None:
        """The mark and all behind it is gone."""
        first = self._marks.index(mark)
        for gone in self._marks[first:]:
            self._places.pop(gone.before, None)
        del self._marks[first:]
        self.end = None

    def empty(self) -> None:
        self._marks.clear()
        self._places.clear()
        self.end = None
