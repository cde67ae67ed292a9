"""What is asked, by whom, and what goes wrong with it: decided by a seed alone. Pure."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Any

from claude_gateway.demo.lies import LIES

MODEL = "claude-sonnet-4-5-20250929"
# Its first job in a process is a switch, and so is the next of the other.
OTHER_MODEL = "claude-opus-4-20250514"


class Manner(Enum):
    """How a caller takes his answer."""

    STAYS = auto()
    LEAVES = auto()
    STALLS = auto()


@dataclass(frozen=True, slots=True)
class Ask:
    """One request. `answer` is the whole text that its caller is owed; `fault` names what goes wrong, "" for nothing.

    `patience`: chunks after which a caller who leaves does; `at_boot`: what the next process does that starts;
    `at_switch`: what the next one does that is to change its model; `works`: with Claude's own tools.
    """

    token: str
    messages: tuple[dict[str, str], ...]
    answer: str
    streamed: bool
    manner: Manner = Manner.STAYS
    patience: int = 0
    fault: str = ""
    at_boot: str = ""
    at_switch: str = ""
    model: str = MODEL
    session: str | None = None
    works: bool = False

    def body(self) -> dict[str, Any]:
        more = ({"session_id": self.session} if self.session else {}) | ({"enable_tools": True} if self.works else {})
        return {"model": self.model, "messages": list(self.messages), "stream": self.streamed, **more}


# Act and state of what a process does, as `misbehaving_cli` reads it.
WORKER_FAULTS = tuple(
    (act, state)
    for state in ("BOOTING", "IDLE", "SWITCHING", "LOADING", "ANSWERING", "STOPPING", "CLEARING")
    for act in ("kill", "exit", "garbage", "babble", "shapeless", "noise")
)
# These hold a slot for as long as a request may last.
SLOW_WORKER_FAULTS = tuple(("freeze", state) for state in ("ANSWERING", "STOPPING", "CLEARING", "SWITCHING"))
UPSTREAM_FAULTS = (
    *(f"{{{{lie {kind}}}}}" for kind in LIES),
    *(f"{{{{lie {kind}}}}}{{{{times 1}}}}" for kind in LIES),
    *("{{drop 2}}", "{{drop 2}}{{times 1}}", "{{break 2}}", "{{break 2}}{{times 1}}", "{{drop 0}}"),
    *("{{delay 0.5}}", "{{silence 0.5}}", "{{pace 0.05}}"),
    *("{{status 400}}", "{{status 403}}", "{{status 500}}", "{{status 529}}", "{{status 429 retry-after=1}}"),
)
STORMS = ("{{status 500}}", "{{status 529}}", "{{status 429 retry-after=1}}")


@dataclass(frozen=True, slots=True)
class Odds:
    """Of each thing, per request. A storm is so many requests in a row that the upstream fails."""

    worker: float = 0.03
    slow_worker: float = 0.001
    upstream: float = 0.08
    hang: float = 0.001
    leaves: float = 0.08
    stalls: float = 0.001
    storm: float = 0.0005
    in_a_storm: int = 40
    session: float = 0.02
    with_history: float = 0.2


@dataclass(slots=True)
class Plan:
    """An endless row of errands, the same for the same seed: what one caller asks, one request after another. It is
    one request, or several of one session."""

    seed: int
    odds: Odds = field(default_factory=Odds)

    def __iter__(self) -> Iterator[tuple[Ask, ...]]:
        dice = random.Random(self.seed)
        storm = ""
        left = 0
        for number in range(1_000_000_000):
            if left:
                left -= 1
            elif dice.random() < self.odds.storm:
                storm, left = dice.choice(STORMS), self.odds.in_a_storm
            if not left and dice.random() < self.odds.session:
                yield self._session(dice, f"t{self.seed}x{number}")
            else:
                yield (self._ask(dice, f"t{self.seed}x{number}", storm if left else ""),)

    def _session(self, dice: random.Random, token: str) -> tuple[Ask, ...]:
        """Some turns of a conversation that only the gateway remembers, with a fault or two among them."""
        asks = []
        for turn in range(dice.randint(2, 6)):
            # No number of an errand is as long.
            own = f"{token}{turn:09}"
            trouble = dice.choice(UPSTREAM_FAULTS) if dice.random() < 0.2 else ""
            kill = f"[[kill ANSWERING 1 {own}]]" if dice.random() < 0.1 else ""
            manner = Manner.LEAVES if dice.random() < 0.1 else Manner.STAYS
            made = ask(dice, own, upstream=trouble, worker=kill, manner=manner, session=token)
            asks.append(made)
        return tuple(asks)

    def _ask(self, dice: random.Random, token: str, storm: str) -> Ask:
        odds = self.odds
        roll = dice.random()
        for chance, make in (
            (1.0 if storm else 0.0, lambda: ask(dice, token, upstream=storm)),
            (odds.worker, lambda: with_worker_fault(dice, token, *dice.choice(WORKER_FAULTS))),
            (odds.slow_worker, lambda: with_worker_fault(dice, token, *dice.choice(SLOW_WORKER_FAULTS))),
            (odds.upstream, lambda: ask(dice, token, upstream=dice.choice(UPSTREAM_FAULTS))),
            (odds.hang, lambda: ask(dice, token, upstream="{{hang}}")),
            (odds.leaves, lambda: ask(dice, token, manner=Manner.LEAVES)),
            (odds.stalls, lambda: long_ask(token)),
        ):
            if roll < chance:
                return make()
            roll -= chance
        return ask(dice, token, history=dice.random() < odds.with_history)


def words(token: str, count: int) -> str:
    return " ".join(f"{token}-{number}" for number in range(count))


def ask(
    dice: random.Random,
    token: str,
    *,
    manner: Manner = Manner.STAYS,
    upstream: str = "",
    worker: str = "",
    worker_in_history: str = "",
    history: bool = False,
    session: str | None = None,
    words_at_least: int = 1,
) -> Ask:
    """A short one. Who leaves does so before the answer can have ended."""
    answer = words(token, dice.randint(words_at_least, words_at_least + 11))
    leaves = manner is Manner.LEAVES
    if leaves:
        answer = words(token, 60)
    pace = "{{pace 0.05}}" if leaves else "" if upstream else dice.choice(("", "{{pace 0.005}}", "{{pace 0.02}}"))
    past: tuple[dict[str, str], ...] = ()
    if history or worker_in_history:
        past = tuple(
            message
            for number in range(dice.randint(1, 6))
            for message in (
                {"role": "user", "content": f"earlier {number} of {token} {worker_in_history}"},
                {"role": "assistant", "content": f"answered {number} of {token}"},
            )
        )
    prompt = f"{{{{say {answer}}}}}{pace}{upstream} {worker} {token}"
    return Ask(
        token,
        (*past, {"role": "user", "content": prompt}),
        answer,
        streamed=dice.random() < 0.7 or leaves,  # by what he has read he knows when to
        manner=manner,
        patience=dice.randint(0, 10),
        fault=upstream or worker or worker_in_history,
        session=session,
    )


def with_worker_fault(dice: random.Random, token: str, act: str, state: str) -> Ask:
    command = f"[[{act} {state} {dice.choice((0, 1, 3)) if state == 'ANSWERING' else 0} {token}]]"
    match state:
        case "BOOTING":
            # Its process ends behind the answer, so that there is one to start.
            return replace(ask(dice, token, worker=f"[[kill IDLE 0 {token}]]"), at_boot=act)
        case "SWITCHING":
            return replace(ask(dice, token), at_switch=act, model=OTHER_MODEL)
        case "LOADING":
            return ask(dice, token, worker_in_history=command)
        case "STOPPING":
            return ask(dice, token, worker=command, manner=Manner.LEAVES)
    return ask(dice, token, worker=command)


def working_ask(dice: random.Random, token: str, command: str, *, fault: str = "") -> Ask:
    """One for whose answer a command is run."""
    said = words(token, dice.randint(1, 12))
    called = json.dumps({"command": command, "timeout": 60_000})
    prompt = {"role": "user", "content": f"{{{{tool Bash {called}}}}}{{{{then}}}}{{{{say {said}}}}} {token}"}
    # Beside a call the stand-in says no more than a dot.
    return Ask(token, (prompt,), f".\n\n{said}", streamed=False, fault=fault, works=True)


def long_ask(token: str) -> Ask:
    """More than fits into the buffers between the gateway and a caller who does not read."""
    count = 20_000
    answer = "".join(f"w{number} " for number in range(count))
    prompt = {"role": "user", "content": f"{{{{deltas {count}}}}} {token}"}
    return Ask(token, (prompt,), answer, streamed=True, manner=Manner.STALLS)
