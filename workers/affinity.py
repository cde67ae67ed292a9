"""Which worker takes a job. Pure: a view of every worker and a job in, a decision out."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

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
    mine = [view for view in views if view.owner == job.owner and _suits(view, job)]
    owned = [view for view in views if view.owner is not None]
    ready = [view for view in mine if view.phase is Phase.READY]
    if ready:
        # The one already set to the model, then one that a job without a system prompt could not have; among
        # equals the one used last, whose memory is warm.
        fits = bool(job.system)
        return Take(max(ready, key=lambda v: (v.model == job.model, v.had_system == fits, v.last_used)).id)
    unowned = [view for view in views if view.owner is None and view.phase is Phase.READY]
    if unowned and len(owned) < capacity:
        return Take(max(unowned, key=lambda view: (view.model == job.model, -view.id)).id)
    if any(view.phase is Phase.RECOVERING for view in mine):
        return Wait()
    if len(owned) >= capacity:
        idle = [view for view in owned if view.phase in (Phase.READY, Phase.RECOVERING)]
        if idle:
            return Replace(min(idle, key=lambda view: view.last_used).id)
    return Wait()


def _suits(view: View, job: ChatJob) -> bool:
    return bool(job.system) or not view.had_system
