"""Choice of a login for a job, based on the present state of all logins. No I/O."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReachedLimit:
    """A limit because of which the upstream rejects requests.

    Attributes:
        kind: The kind of the window, one of `workers.core.login_limits.WINDOW_NAMES`.
        model: The model for which the upstream rejected a request.
        reached_at: The time of the rejection.
        resets_at: The time at which the window ends, or None if it is unknown.
        is_probed: Whether the upstream has rejected the only probe before the reset.
    """

    kind: str
    model: str
    reached_at: float
    resets_at: float | None
    is_probed: bool = False


@dataclass(frozen=True, slots=True)
class LoginView:
    """The state of one login, as far as it concerns a job.

    Attributes:
        name: The name of the login.
        serves_model: Whether the operator has set this login for the model of the job.
        limit: The reached limit that concerns the job, or None. If several concern it, the one that resets last.
        is_failed: Whether the upstream has rejected the login itself, or no process starts with it.
        lacks_model: Whether the upstream has answered that this login has no such model.
        is_near_limit: Whether the upstream has warned that a limit that concerns the job is almost reached.
        is_probe_due: Whether the job may be sent upstream as a probe, although the login is limited or failed.
    """

    name: str
    serves_model: bool = True
    limit: ReachedLimit | None = None
    is_failed: bool = False
    lacks_model: bool = False
    is_near_limit: bool = False
    is_probe_due: bool = False

    @property
    def is_usable(self) -> bool:
        """Whether the upstream probably accepts the job with this login."""
        return self.limit is None and not self.is_failed and not self.lacks_model

    @property
    def opens_by_itself(self) -> bool:
        """Whether the time is known at which the login becomes usable again."""
        return not self.is_failed and self.limit is not None and self.limit.resets_at is not None


@dataclass(frozen=True, slots=True)
class LoginChoice:
    """The login that a job uses.

    Attributes:
        name: The name of the login.
        is_probe: Whether the job finds out whether the upstream accepts requests again.
    """

    name: str
    is_probe: bool = False


def list_candidates(views: Sequence[LoginView], *, bound_login: str, allows_fallback: bool) -> list[LoginView]:
    """Return the logins that the job may use, in the order of preference.

    Args:
        views: All logins, in the order of preference.
        bound_login: The only login that the job may use, or "" if it may use each login.
        allows_fallback: Whether the job may use another login than the first one that serves its model.
    """
    candidates = [view for view in views if view.serves_model and bound_login in ("", view.name)]
    return candidates if allows_fallback else candidates[:1]


def choose_spare_login(candidates: Sequence[LoginView]) -> str:
    """Return the login with which processes should start that belong to no job yet.

    If the first usable login is near its limit, it is the next usable one, so that its processes are ready when the
    first login reaches the limit.

    Args:
        candidates: The logins that a job may use, in the order of preference. At least one.
    """
    usable = [view for view in candidates if view.is_usable] or [candidates[0]]
    return next((view.name for view in usable if not view.is_near_limit), usable[-1].name)


def choose_login(candidates: Sequence[LoginView]) -> LoginChoice | None:
    """Return the login for a job, or None if the job has to wait until a limit resets.

    The job gets the first usable login. If no login is usable, it may be a probe. A login whose return shows only in a
    probe also gets one while another login is usable, because it is preferred to that login.

    Args:
        candidates: The logins that the job may use, in the order of preference. At least one.
    """
    for view in candidates:
        if view.is_usable:
            return LoginChoice(view.name)
        if view.is_probe_due and not view.opens_by_itself and any(other.is_usable for other in candidates):
            return LoginChoice(view.name, is_probe=True)
    if len(candidates) > 1 or candidates[0].limit is not None:
        for view in candidates:
            if view.is_probe_due:
                return LoginChoice(view.name, is_probe=True)
    if any(view.limit is not None for view in candidates):
        return None
    # The job gets the error of the upstream, or succeeds if the operator has renewed the login in the meantime.
    return LoginChoice(candidates[0].name)
