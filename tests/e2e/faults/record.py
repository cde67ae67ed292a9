"""What the upstream was asked against what the callers saw."""

import re
from collections import Counter
from dataclasses import dataclass, field

from claude_gateway.demo.script import last_user_text
from claude_gateway.demo.upstream import StandIn
from claude_gateway.retries import MAX_WORKERS
from tests.e2e.faults.books import Line, differences
from tests.e2e.faults.callers import End, Outcome, Sight
from tests.e2e.faults.plan import Ask, Manner

_TOKEN = re.compile(r"\bt\d+x[\d-]+\b")
# The service gives a job to another worker whose worker died; the CLI asks once more by itself.
_MOST_ASKED = 2 * MAX_WORKERS
# Without a fault of its own: two processes in a row that others had broken are rare, three are next to none.
_MOST_ASKED_WITHOUT_A_FAULT = 3


@dataclass(slots=True)
class Record:
    """The sum of a run. `wrong` says in words what must not be, `unbooked` where the ledger is not what callers saw."""

    asked: Counter[str] = field(default_factory=Counter)
    ends: Counter[End] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    hurt: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    unbooked: list[str] = field(default_factory=list)
    booked: Counter[str] = field(default_factory=Counter)
    sessions: int = 0
    attempts: int = 0
    slowest: float = 0.0
    _sights: dict[str, tuple[Sight, bool]] = field(default_factory=dict)
    _histories: dict[str, list[str]] = field(default_factory=dict)
    # Of each session what was answered in it, and whether that is certain: who leaves cannot know whether his was.
    _sessions: dict[str, list[tuple[Ask, bool]]] = field(default_factory=dict)

    def hear(self, upstream: StandIn) -> None:
        """Take over what the stand-in noted since the last time."""
        received, upstream.received[:] = list(upstream.received), []
        for request in received:
            if request.is_probe:
                continue
            for token in set(_TOKEN.findall(last_user_text(request.body).rpartition("}}")[2])):
                self.asked[token] += 1
                self._histories[token] = [
                    said
                    for message in request.body["messages"]
                    if message["role"] == "assistant"
                    for said in re.findall(r"\bt\d+x\d+-0\b", str(message["content"]))
                ]

    def add(self, outcome: Outcome) -> None:
        """Take in how one request ended, once the stand-in was heard; its notes of that request are forgotten."""
        ask = outcome.ask
        self.ends[outcome.end] += 1
        self.attempts += len(outcome.sights)
        faulty = bool(ask.fault or ask.at_boot or ask.at_switch)
        self._sights |= {sight.request_id: (sight, faulty) for sight in outcome.sights}
        self.slowest = max(self.slowest, outcome.seconds)
        self.faults[ask.fault.split()[0].strip("{[}") if ask.fault else "none"] += 1
        if outcome.end in (End.FAILED, End.REFUSED):
            self.codes[f"{outcome.status} {outcome.detail}"] += 1
        if outcome.end in (End.LOST, End.DOUBLED):
            self.wrong.append(f"{outcome.end.value}: {ask.fault or ask.manner.name} {outcome.detail}")
        if outcome.end is End.FAILED and not ask.fault and ask.manner is Manner.STAYS:
            self.hurt[f"{outcome.status} {outcome.detail}"] += 1
        asked = self.asked.pop(ask.token, 0)
        if asked > (_MOST_ASKED if ask.fault else _MOST_ASKED_WITHOUT_A_FAULT):
            self.wrong.append(f"asked {asked} times: {ask.fault or 'without a fault'}")
        if outcome.end is End.WHOLE and not asked:
            self.wrong.append(f"answered without being asked: {ask.token}")
        history = self._histories.pop(ask.token, None)
        if ask.session:
            self._compare(ask.session, history, outcome)

    def _compare(self, session: str, history: list[str] | None, outcome: Outcome) -> None:
        """The model is told what the caller was answered in this session: no more, no less, in that order."""
        told = self._sessions.setdefault(session, [])
        if history is not None:
            due = [_begin(ask) for ask, certain in told if certain or _begin(ask) in history]
            if history != due:
                self.wrong.append(f"the model was told {history} in a session that was answered {due}")
        if outcome.end in (End.WHOLE, End.LEFT):
            told.append((outcome.ask, outcome.end is End.WHOLE))

    def close_session(self, session: str, count: int, remembered: list[tuple[str, str]]) -> None:
        """The last of it was said: hold what is remembered against what was answered, both sides of it word for word.
        `count` is what the gateway says."""
        told = self._sessions.pop(session, [])
        self.sessions += 1
        due = [
            turn
            for ask, certain in told
            if certain or ("assistant", ask.answer) in remembered
            for turn in (("user", ask.messages[-1]["content"]), ("assistant", ask.answer))
        ]
        if remembered != due:
            self.wrong.append(f"session {session} remembers {remembered}, not {due}")
        elif count != len(due) and all(certain for _, certain in told):
            self.wrong.append(f"session {session} is said to have {count} messages, not {len(due)}")

    def differences(self, lines: list[Line], jobs: dict[str, int]) -> list[str]:
        """In what the ledger, and what is told of it by result, is not what callers saw."""
        self.booked = Counter(line.result for line in lines)
        found = differences(self._sights, lines)
        if jobs != dict(self.booked):
            found.append(f"{jobs} jobs are told, and {dict(self.booked)} are in the ledger")
        return found

    @property
    def requests(self) -> int:
        return self.ends.total()

    def count(self, end: End) -> int:
        return self.ends[end]


def _begin(ask: Ask) -> str:
    """The first word of its answer."""
    return f"{ask.token}-0"
