"""Plans of requests and faults, which depend on a seed alone."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Any

from claude_gateway.devtools.fake_anthropic.malformed import MALFORMED_KINDS

MODEL = "claude-sonnet-4-5-20250929"
# A process answers jobs of both models in turn, so a job of this model needs a model switch.
OTHER_MODEL = "claude-opus-4-20250514"


class ClientBehavior(Enum):
    """The way in which a client treats its response."""

    READS = auto()
    DISCONNECTS = auto()
    STALLS = auto()


@dataclass(frozen=True, slots=True)
class PlannedRequest:
    """A request with its expected reply and the fault that hits it.

    Attributes:
        token: A text in the prompt that identifies the request.
        messages: The chat messages of the request body.
        expected_text: The whole text that the client must receive.
        is_stream: Whether the client requests a stream.
        behavior: How the client treats the response.
        disconnect_after_chunks: Number of chunks after which a client that disconnects does so.
        fault: The fault that hits the request, or "".
        start_fault: The action of the next process that starts.
        switch_fault: The action of the next process that has to change its model.
        model: The requested model.
        session_id: The session of the request, if any.
        uses_builtin_tools: Whether the request enables the built-in tools.
    """

    token: str
    messages: tuple[dict[str, str], ...]
    expected_text: str
    is_stream: bool
    behavior: ClientBehavior = ClientBehavior.READS
    disconnect_after_chunks: int = 0
    fault: str = ""
    start_fault: str = ""
    switch_fault: str = ""
    model: str = MODEL
    session_id: str | None = None
    uses_builtin_tools: bool = False

    def body(self) -> dict[str, Any]:
        more = ({"session_id": self.session_id} if self.session_id else {}) | (
            {"enable_tools": True} if self.uses_builtin_tools else {}
        )
        return {"model": self.model, "messages": list(self.messages), "stream": self.is_stream, **more}


# Actions and states of a process, as `misbehaving_cli` reads them.
WORKER_FAULTS = tuple(
    (act, state)
    for state in ("STARTING", "IDLE", "SWITCHING", "REPLAYING", "REPLYING", "INTERRUPTING", "CLEARING")
    for act in ("kill", "exit", "garbage", "babble", "shapeless", "noise")
)
# These faults hold a slot for as long as a request may last.
SLOW_WORKER_FAULTS = tuple(("freeze", state) for state in ("REPLYING", "INTERRUPTING", "CLEARING", "SWITCHING"))
UPSTREAM_FAULTS = (
    *(f"{{{{lie {kind}}}}}" for kind in MALFORMED_KINDS),
    *(f"{{{{lie {kind}}}}}{{{{times 1}}}}" for kind in MALFORMED_KINDS),
    *("{{drop 2}}", "{{drop 2}}{{times 1}}", "{{break 2}}", "{{break 2}}{{times 1}}", "{{drop 0}}"),
    *("{{delay 0.5}}", "{{silence 0.5}}", "{{pace 0.05}}"),
    *("{{status 400}}", "{{status 403}}", "{{status 500}}", "{{status 529}}", "{{status 429 retry-after=1}}"),
)
STORM_FAULTS = ("{{status 500}}", "{{status 529}}", "{{status 429 retry-after=1}}")


@dataclass(frozen=True, slots=True)
class FaultOdds:
    """Probabilities of faults per request. A storm is `storm_request_count` failing upstream requests in a row."""

    worker: float = 0.03
    slow_worker: float = 0.001
    upstream: float = 0.08
    hang: float = 0.001
    disconnects: float = 0.08
    stalls: float = 0.001
    storm: float = 0.0005
    storm_request_count: int = 40
    session: float = 0.02
    history: float = 0.2


@dataclass(slots=True)
class LoadPlan:
    """An endless sequence of items for one client, the same for the same seed.

    An item is one request, or several requests of one session.
    """

    seed: int
    odds: FaultOdds = field(default_factory=FaultOdds)

    def __iter__(self) -> Iterator[tuple[PlannedRequest, ...]]:
        rng = random.Random(self.seed)
        storm = ""
        remaining = 0
        for number in range(1_000_000_000):
            if remaining:
                remaining -= 1
            elif rng.random() < self.odds.storm:
                storm, remaining = rng.choice(STORM_FAULTS), self.odds.storm_request_count
            if not remaining and rng.random() < self.odds.session:
                yield self._plan_session(rng, f"t{self.seed}x{number}")
            else:
                yield (self._plan_request(rng, f"t{self.seed}x{number}", storm if remaining else ""),)

    def _plan_session(self, rng: random.Random, token: str) -> tuple[PlannedRequest, ...]:
        """Return some turns of a conversation that only the gateway stores, sometimes with a fault."""
        requests = []
        for turn in range(rng.randint(2, 6)):
            # No token of an item is as long.
            turn_token = f"{token}{turn:09}"
            upstream_fault = rng.choice(UPSTREAM_FAULTS) if rng.random() < 0.2 else ""
            worker_fault = f"[[kill REPLYING 1 {turn_token}]]" if rng.random() < 0.1 else ""
            behavior = ClientBehavior.DISCONNECTS if rng.random() < 0.1 else ClientBehavior.READS
            requests.append(
                make_request(
                    rng,
                    turn_token,
                    upstream_fault=upstream_fault,
                    worker_fault=worker_fault,
                    behavior=behavior,
                    session_id=token,
                )
            )
        return tuple(requests)

    def _plan_request(self, rng: random.Random, token: str, storm: str) -> PlannedRequest:
        odds = self.odds
        roll = rng.random()
        for chance, make in (
            (1.0 if storm else 0.0, lambda: make_request(rng, token, upstream_fault=storm)),
            (odds.worker, lambda: make_worker_fault_request(rng, token, *rng.choice(WORKER_FAULTS))),
            (odds.slow_worker, lambda: make_worker_fault_request(rng, token, *rng.choice(SLOW_WORKER_FAULTS))),
            (odds.upstream, lambda: make_request(rng, token, upstream_fault=rng.choice(UPSTREAM_FAULTS))),
            (odds.hang, lambda: make_request(rng, token, upstream_fault="{{hang}}")),
            (odds.disconnects, lambda: make_request(rng, token, behavior=ClientBehavior.DISCONNECTS)),
            (odds.stalls, lambda: make_long_request(token)),
        ):
            if roll < chance:
                return make()
            roll -= chance
        return make_request(rng, token, history=rng.random() < odds.history)


def numbered_words(token: str, count: int) -> str:
    return " ".join(f"{token}-{number}" for number in range(count))


def make_request(
    rng: random.Random,
    token: str,
    *,
    behavior: ClientBehavior = ClientBehavior.READS,
    upstream_fault: str = "",
    worker_fault: str = "",
    worker_fault_in_history: str = "",
    history: bool = False,
    session_id: str | None = None,
    min_words: int = 1,
) -> PlannedRequest:
    """Return a short request. A client that disconnects does so before the reply can have ended."""
    reply = numbered_words(token, rng.randint(min_words, min_words + 11))
    disconnects = behavior is ClientBehavior.DISCONNECTS
    if disconnects:
        reply = numbered_words(token, 60)
    pace = (
        "{{pace 0.05}}"
        if disconnects
        else ""
        if upstream_fault
        else rng.choice(("", "{{pace 0.005}}", "{{pace 0.02}}"))
    )
    history_messages: tuple[dict[str, str], ...] = ()
    if history or worker_fault_in_history:
        history_messages = tuple(
            message
            for number in range(rng.randint(1, 6))
            for message in (
                {"role": "user", "content": f"earlier {number} of {token} {worker_fault_in_history}"},
                {"role": "assistant", "content": f"answered {number} of {token}"},
            )
        )
    prompt = f"{{{{say {reply}}}}}{pace}{upstream_fault} {worker_fault} {token}"
    return PlannedRequest(
        token,
        (*history_messages, {"role": "user", "content": prompt}),
        reply,
        is_stream=rng.random() < 0.7 or disconnects,  # a client disconnects after some chunks of a stream
        behavior=behavior,
        disconnect_after_chunks=rng.randint(0, 10),
        fault=upstream_fault or worker_fault or worker_fault_in_history,
        session_id=session_id,
    )


def make_worker_fault_request(rng: random.Random, token: str, action: str, state: str) -> PlannedRequest:
    command = f"[[{action} {state} {rng.choice((0, 1, 3)) if state == 'REPLYING' else 0} {token}]]"
    match state:
        case "STARTING":
            # The process exits after the reply, so that another one has to start.
            return replace(make_request(rng, token, worker_fault=f"[[kill IDLE 0 {token}]]"), start_fault=action)
        case "SWITCHING":
            return replace(make_request(rng, token), switch_fault=action, model=OTHER_MODEL)
        case "REPLAYING":
            return make_request(rng, token, worker_fault_in_history=command)
        case "INTERRUPTING":
            return make_request(rng, token, worker_fault=command, behavior=ClientBehavior.DISCONNECTS)
    return make_request(rng, token, worker_fault=command)


def make_tool_request(rng: random.Random, token: str, command: str, *, fault: str = "") -> PlannedRequest:
    """Return a request for whose reply the model runs a command."""
    reply = numbered_words(token, rng.randint(1, 12))
    arguments = json.dumps({"command": command, "timeout": 60_000})
    prompt = {"role": "user", "content": f"{{{{tool Bash {arguments}}}}}{{{{then}}}}{{{{say {reply}}}}} {token}"}
    # The fake Anthropic API sends one dot as the text beside a call.
    return PlannedRequest(token, (prompt,), f".\n\n{reply}", is_stream=False, fault=fault, uses_builtin_tools=True)


def make_long_request(token: str) -> PlannedRequest:
    """Return a request with a reply larger than the buffers between the gateway and a client that does not read."""
    count = 20_000
    reply = "".join(f"w{number} " for number in range(count))
    prompt = {"role": "user", "content": f"{{{{deltas {count}}}}} {token}"}
    return PlannedRequest(token, (prompt,), reply, is_stream=True, behavior=ClientBehavior.STALLS)
