"""How often a job that failed is given to another worker. Pure."""

from dataclasses import dataclass

from workers.errors import ErrorKind, WorkerError

# A process that dies says more of itself than of the job, as long as it showed nothing of an answer: jobs were seen
# that met two in a row which others had broken. A job that ends so many would end each.
MAX_WORKERS = 5
# An answer that broke off is paid for.
MAX_BROKEN_ANSWERS = 2


@dataclass(slots=True)
class Retries:
    """Counts what happened to one job so far."""

    workers: int = 0
    broken_answers: int = 0

    def allow(self, error: WorkerError, *, visible: bool, worked: bool) -> bool:
        """Take note of a failure; returns whether the job is tried again.

        Args:
            error: What it failed with.
            visible: Whether something of its answer was passed on in this attempt.
            worked: Whether its tools have done something, which must not be done twice.
        """
        self.workers += 1
        self.broken_answers += visible or error.kind is ErrorKind.CUT
        left = self.workers < MAX_WORKERS and self.broken_answers < MAX_BROKEN_ANSWERS
        return left and not worked and error.another_attempt_could_help
