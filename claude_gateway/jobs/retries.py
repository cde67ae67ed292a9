"""Decides whether the gateway runs a failed job again on another worker. No I/O."""

from dataclasses import dataclass

from workers.core.errors import ErrorKind, WorkerError

# Maximum number of attempts for one job. If a process exits before it has produced output, usually an earlier job has
# damaged the process. It has happened that a job got two such processes in a row. A job that fails on this many
# processes would fail on every process.
MAX_ATTEMPTS = 5
# Maximum number of interrupted replies for one job. It is lower, because an interrupted reply has already cost tokens.
MAX_INTERRUPTED_REPLIES = 2


@dataclass(slots=True)
class RetryPolicy:
    """Counts the failed attempts of one job, and decides whether the gateway tries again.

    Attributes:
        attempt_count: Number of failed attempts.
        interrupted_count: Number of failed attempts in which the reply had started.
    """

    attempt_count: int = 0
    interrupted_count: int = 0

    def should_retry(self, error: WorkerError, *, output_sent: bool, tools_ran: bool) -> bool:
        """Count a failed attempt and return whether to run the job again.

        Args:
            error: Error with which the attempt failed.
            output_sent: Whether the gateway passed on a part of the reply in this attempt.
            tools_ran: Whether tools have run. A retry would repeat their effects.
        """
        self.attempt_count += 1
        self.interrupted_count += output_sent or error.kind is ErrorKind.UPSTREAM_DISCONNECTED
        attempts_remain = self.attempt_count < MAX_ATTEMPTS and self.interrupted_count < MAX_INTERRUPTED_REPLIES
        return attempts_remain and not tools_ran and error.is_retryable
