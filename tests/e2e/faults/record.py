"""Compare the requests that the upstream received with the observations of the clients."""

import re
from collections import Counter
from dataclasses import dataclass, field

from claude_gateway.devtools.fake_anthropic.script import last_user_text
from claude_gateway.devtools.fake_anthropic.server import FakeAnthropic
from claude_gateway.jobs.retries import MAX_ATTEMPTS
from tests.e2e.faults.gateway_database import UsageRow, find_usage_problems
from tests.e2e.faults.load_clients import Observation, Outcome, RequestEnd
from tests.e2e.faults.plan import ClientBehavior, PlannedRequest

_TOKEN = re.compile(r"\bt\d+x[\d-]+\b")
# The gateway gives a job to another worker if its worker exits; the CLI itself repeats an upstream request once.
_MAX_ATTEMPTS = 2 * MAX_ATTEMPTS
# For a request without a fault: it rarely meets two broken processes in a row, and practically never three.
_MAX_ATTEMPTS_WITHOUT_FAULT = 3


@dataclass(slots=True)
class RunRecord:
    """The record of a run.

    `problems` describes violations, and `usage_problems` the differences between usage records and observations.
    """

    attempts_by_token: Counter[str] = field(default_factory=Counter)
    end_counts: Counter[RequestEnd] = field(default_factory=Counter)
    error_counts: Counter[str] = field(default_factory=Counter)
    fault_counts: Counter[str] = field(default_factory=Counter)
    unexpected_failures: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    usage_problems: list[str] = field(default_factory=list)
    usage_result_counts: Counter[str] = field(default_factory=Counter)
    session_count: int = 0
    attempt_count: int = 0
    max_seconds: float = 0.0
    _observations: dict[str, tuple[Observation, bool]] = field(default_factory=dict)
    _histories: dict[str, list[str]] = field(default_factory=dict)
    # The completed requests of each session, and whether that is certain: an abandoned request may have completed.
    _session_replies: dict[str, list[tuple[PlannedRequest, bool]]] = field(default_factory=dict)

    def collect_requests(self, upstream: FakeAnthropic) -> None:
        """Take over the requests that the upstream recorded since the last call."""
        received, upstream.requests[:] = list(upstream.requests), []
        for request in received:
            if request.is_probe:
                continue
            for token in set(_TOKEN.findall(last_user_text(request.body).rpartition("}}")[2])):
                self.attempts_by_token[token] += 1
                self._histories[token] = [
                    reply
                    for message in request.body["messages"]
                    if message["role"] == "assistant"
                    for reply in re.findall(r"\bt\d+x\d+-0\b", str(message["content"]))
                ]

    def add_outcome(self, outcome: Outcome) -> None:
        """Add the end of a request, after `collect_requests`, and delete its upstream requests."""
        request = outcome.request
        self.end_counts[outcome.end] += 1
        self.attempt_count += len(outcome.observations)
        is_faulty = bool(request.fault or request.start_fault or request.switch_fault)
        self._observations |= {observation.request_id: (observation, is_faulty) for observation in outcome.observations}
        self.max_seconds = max(self.max_seconds, outcome.duration_seconds)
        self.fault_counts[request.fault.split()[0].strip("{[}") if request.fault else "none"] += 1
        if outcome.end in (RequestEnd.FAILED, RequestEnd.REJECTED):
            self.error_counts[f"{outcome.status} {outcome.detail}"] += 1
        if outcome.end in (RequestEnd.LOST, RequestEnd.DUPLICATED):
            self.problems.append(f"{outcome.end.value}: {request.fault or request.behavior.name} {outcome.detail}")
        if outcome.end is RequestEnd.FAILED and not request.fault and request.behavior is ClientBehavior.READS:
            self.unexpected_failures[f"{outcome.status} {outcome.detail}"] += 1
        attempts = self.attempts_by_token.pop(request.token, 0)
        if attempts > (_MAX_ATTEMPTS if request.fault else _MAX_ATTEMPTS_WITHOUT_FAULT):
            self.problems.append(f"{attempts} upstream requests: {request.fault or 'without a fault'}")
        if outcome.end is RequestEnd.COMPLETE and not attempts:
            self.problems.append(f"a reply without an upstream request: {request.token}")
        history = self._histories.pop(request.token, None)
        if request.session_id:
            self._check_history(request.session_id, history, outcome)

    def _check_history(self, session_id: str, history: list[str] | None, outcome: Outcome) -> None:
        """Check that the upstream request held exactly the replies that the client received, in order."""
        replies = self._session_replies.setdefault(session_id, [])
        if history is not None:
            expected = [
                _first_word(request) for request, is_certain in replies if is_certain or _first_word(request) in history
            ]
            if history != expected:
                self.problems.append(f"the upstream request held {history} in a session with the replies {expected}")
        if outcome.end in (RequestEnd.COMPLETE, RequestEnd.DISCONNECTED):
            replies.append((outcome.request, outcome.end is RequestEnd.COMPLETE))

    def check_session(self, session_id: str, message_count: int, stored_turns: list[tuple[str, str]]) -> None:
        """Compare the stored turns of a finished session with its requests and replies, word for word.

        `message_count` is the number of messages that the gateway reports.
        """
        replies = self._session_replies.pop(session_id, [])
        self.session_count += 1
        expected = [
            turn
            for request, is_certain in replies
            if is_certain or ("assistant", request.expected_text) in stored_turns
            for turn in (("user", request.messages[-1]["content"]), ("assistant", request.expected_text))
        ]
        if stored_turns != expected:
            self.problems.append(f"session {session_id} holds {stored_turns}, not {expected}")
        elif message_count != len(expected) and all(is_certain for _, is_certain in replies):
            self.problems.append(f"session {session_id} reports {message_count} messages, not {len(expected)}")

    def find_usage_problems(self, rows: list[UsageRow], job_counts: dict[str, int]) -> list[str]:
        """Return the differences between usage records, usage report and observations."""
        self.usage_result_counts = Counter(row.result for row in rows)
        problems = find_usage_problems(self._observations, rows)
        if job_counts != dict(self.usage_result_counts):
            problems.append(
                f"the usage report has {job_counts} jobs, and the usage records have {dict(self.usage_result_counts)}"
            )
        return problems

    @property
    def request_count(self) -> int:
        return self.end_counts.total()

    def count_ends(self, end: RequestEnd) -> int:
        return self.end_counts[end]


def _first_word(request: PlannedRequest) -> str:
    """Return the first word of the expected reply."""
    return f"{request.token}-0"
