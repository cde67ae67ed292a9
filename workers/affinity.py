"""Which worker takes a job. Pure: a view of every worker and a job in, a decision out."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from workers.continuation import Beginnings
from workers.job import ChatJob


class Phase(Enum):
    BOOTING = auto()
    READY = auto()
    BUSY = auto()
    RECOVERING = auto()


@dataclass(frozen=True, slots=True)
class View:
    """What the choice needs to know of a worker. `owner` is None until a key first uses it;
    `had_system` is True once it was given a system prompt, which can be changed but never taken away.

    `conversation` names the one that stands in it, `before_newest` the one without its last exchange.
    """

    id: int
    phase: Phase
    owner: str | None
    model: str
    had_system: bool
    last_used: float
    conversation: str | None = None
    before_newest: str | None = None

    @property
    def is_empty(self) -> bool:
        return self.conversation is None and self.before_newest is None


@dataclass(frozen=True, slots=True)
class Take:
    """This worker is ready for the job."""

    id: int


@dataclass(frozen=True, slots=True)
class Replace:
    """End this worker, to make room for one that may serve the job; then choose again."""

    id: int


@dataclass(frozen=True, slots=True)
class Wait:
    """A worker will be ready soon; choose again when one is."""


Decision = Take | Replace | Wait


def choose(job: ChatJob, before: Beginnings, views: Sequence[View], capacity: int) -> Decision:
    """The worker for a job that holds one of `capacity` slots; `before` names its conversation's beginnings.

    A process never serves two owners, and at most `capacity` processes have one; the rest are spares.
    """
    if (here := _where_it_stands(before, views)) is not None:
        return here
    mine = [view for view in views if view.owner == job.owner and _suits(view, job)]
    owned = [view for view in views if view.owner is not None]
    ready = [view for view in mine if view.phase is Phase.READY]
    fits = bool(job.system)

    def rank(view: View) -> tuple[bool, bool, float]:
        """Already set to the model; not one that a job without a system prompt could still have; used last, its
        memory warm."""
        return view.model == job.model, view.had_system == fits, view.last_used

    if empty := [view for view in ready if view.is_empty]:
        return Take(max(empty, key=rank).id)
    unowned = [view for view in views if view.owner is None and view.phase is Phase.READY]
    if unowned and len(owned) < capacity:
        return Take(max(unowned, key=lambda view: (view.model == job.model, -view.id)).id)
    if ready:
        # The conversation left alone longest is given up, rather one of another model's than a switch be made twice.
        return Take(min(ready, key=lambda view: (view.model != job.model, view.last_used)).id)
    if any(view.phase is Phase.RECOVERING for view in mine):
        return Wait()
    if len(owned) >= capacity:
        idle = [view for view in owned if view.phase in (Phase.READY, Phase.RECOVERING)]
        if idle:
            return Replace(min(idle, key=lambda view: view.last_used).id)
    return Wait()


def _where_it_stands(before: Beginnings, views: Sequence[View]) -> Decision | None:
    """The worker that has the very conversation, or has it but for a last exchange that the caller takes back."""
    if len(before) == 1:
        return None
    here = {view.phase: view for view in views if view.conversation == before[-1]}
    if Phase.READY in here:
        return Take(here[Phase.READY].id)
    if Phase.RECOVERING in here:
        return Wait()  # it is still reading the end of the answer that this job goes on from
    again = [view for view in views if view.phase is Phase.READY and view.before_newest == before[-1]]
    return Take(again[0].id) if again else None


def _suits(view: View, job: ChatJob) -> bool:
    return bool(job.system) or not view.had_system
