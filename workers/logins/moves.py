"""Log of the moves of jobs from one login to another, so that operators see why a fallback runs."""

import logging

_log = logging.getLogger(__name__)

# The number of models for which moves are remembered. The models come from clients.
_MAX_MODELS = 100


class MoveLog:
    """Logs when the jobs for a model begin to use another login than the preferred one, and when they are back."""

    def __init__(self) -> None:
        # The login that the jobs for a model use, by the preferred login and the model.
        self._moves: dict[tuple[str, str], str] = {}

    def record(self, model: str, preferred_login: str, used_login: str, reason: str) -> None:
        """Record the login of a job, and log it if it differs from the login of the last job for this model.

        Args:
            model: The model of the job.
            preferred_login: The login that the job would use if it were usable.
            used_login: The login that the job uses.
            reason: Why the preferred login is not usable.
        """
        key = (preferred_login, model)
        if used_login == preferred_login:
            if self._moves.pop(key, None) is not None:
                _log.info("jobs for %r use the login %s again", model, preferred_login)
            return
        if self._moves.get(key) == used_login:
            return
        self._moves.pop(key, None)
        self._moves[key] = used_login
        if len(self._moves) > _MAX_MODELS:
            del self._moves[next(iter(self._moves))]
        _log.warning("jobs for %r use the login %s instead of %s: %s", model, used_login, preferred_login, reason)
