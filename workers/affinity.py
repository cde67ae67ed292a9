"""Which worker takes a job. Pure: a view of every worker and a job in, a decision out."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from workers.continuation import history_key
from workers.job import ChatJob


class Phase(Enum):
    BOOTING = auto()
    READY = auto()
    BUSY = auto()
    RECOVERING = auto()


@dataclass(frozen=True, slots=True)
class View:
    """What the choice needs to know of a worker. `owner` is None until a key first uses it;
    `had_system` is True once it was given a system prompt, which can be changed but never taken away."""

    id: int
    phase: Phase
    owner: str | None
    model: str
    had_system: bool
    last_used: float
    conversation: str | None = None


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


def choose(job: ChatJob, views: Sequence[View], capacity: int) -> Decision:
    """The worker for a job that holds one of `capacity` slots.

    A process never serves two owners, and at most `capacity` processes have one; the rest are spares.
    """
    history = history_key(job)
    here = {view.phase: view for view in views if history is not None and view.conversation == history}
    if Phase.READY in here:
        return Take(here[Phase.READY].id)
    if Phase.RECOVERING in here:
        return Wait()  # it is still reading the end of the answer that this job goes on from
    mine = [view for view in views if view.owner == job.owner and _suits(view, job)]
    owned = [view for view in views if view.owner is not None]
    ready = [view for view in mine if view.phase is Phase.READY]
    fits = bool(job.system)

    def rank(view: View) -> tuple[bool, bool, float]:
        """Already set to the model; not one that a job without a system prompt could still have; used last, its
        memory warm."""
        return view.model == job.model, view.had_system == fits, view.last_used

    if any(map(_is_clean, ready)):
        return Take(max(filter(_is_clean, ready), key=rank).id)
    unowned = [view for view in views if view.owner is None and view.phase is Phase.READY]
    if unowned and len(owned) < capacity:
        return Take(max(unowned, key=lambda view: (view.model == job.model, -view.id)).id)
    if any(view.phase is Phase.RECOVERING for view in mine):
        return Wait()
    if ready:
        return Take(min(ready, key=lambda view: view.last_used).id)  # its conversation is given up
    if len(owned) >= capacity:
        idle = [view for view in owned if view.phase in (Phase.READY, Phase.RECOVERING)]
        if idle:
            return Replace(min(idle, key=lambda view: view.last_used).id)
    return Wait()


def to_clear(views: Sequence[View], capacity: int) -> int | None:
    """Which idle conversation to give up, the one left alone longest; None while half of the workers are empty.

    So many, because whoever begins a conversation shall not wait until another one is cleared away.
    """
    owned = [view for view in views if view.owner is not None]
    idle = [view for view in views if view.phase is Phase.READY]
    # One that is booting will be empty too.
    unowned = sum(view.owner is None and view.phase in (Phase.READY, Phase.BOOTING) for view in views)
    spare = min(capacity - len(owned), unowned)
    coming = sum(view.phase is Phase.RECOVERING for view in views)
    empty = sum(_is_clean(view) for view in idle if view.owner is not None) + spare + coming
    resident = [view for view in idle if not _is_clean(view)]
    if not resident or 2 * empty >= capacity:
        return None
    return min(resident, key=lambda view: view.last_used).id


def _is_clean(view: View) -> bool:
    return view.conversation is None


def _suits(view: View, job: ChatJob) -> bool:
    return bool(job.system) or not view.had_system
