"""Each fault at each place: whoever asked gets one end, nobody else notices, nothing is left over.

The dice are loaded; `make soak` throws them for as long as one likes.
"""

import asyncio
from itertools import islice

import psutil
import pytest

from tests.e2e.faults.callers import BROKEN_OFF, End, Outcome
from tests.e2e.faults.conftest import LONGEST_SECONDS, Patient
from tests.e2e.faults.gateway import KEY
from tests.e2e.faults.plan import (
    UPSTREAM_FAULTS,
    WORKER_FAULTS,
    Ask,
    Manner,
    Odds,
    Plan,
    ask,
    long_ask,
    with_worker_fault,
)

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

STATES = ("BOOTING", "IDLE", "SWITCHING", "LOADING", "ANSWERING", "STOPPING", "CLEARING")
# To end, to lie in its own language, to speak none.
FORMS = ("kill", "babble", "garbage")


async def tried(patient: Patient, *asks: Ask) -> list[Outcome]:
    """All of them at once, each followed by an innocent one; what must not be fails."""

    async def errand(one: Ask) -> Outcome:
        outcome = await patient.load.call(one, KEY)
        patient.load.note(outcome)
        innocent = await patient.load.call(ask(patient.dice, patient.token), KEY)
        patient.load.note(innocent)
        assert innocent.end is End.WHOLE, (one.fault or one.at_boot or one.at_switch, innocent)
        return outcome

    async with asyncio.timeout(60):
        outcomes = list(await asyncio.gather(*map(errand, asks)))
        assert {innocent.end for innocent in await patient.innocents()} == {End.WHOLE}
    assert patient.load.record.wrong == []
    return outcomes


@pytest.mark.promise("faults.workers")
@pytest.mark.parametrize("state", STATES)
async def test_a_worker_that_fails_in_any_state_costs_nobody_more_than_his_own_answer(
    patient: Patient, state: str
) -> None:
    for act, when in WORKER_FAULTS:
        if when == state and (act in FORMS or state == "ANSWERING"):
            (outcome,) = await tried(patient, with_worker_fault(patient.dice, patient.token, act, state))
            ended = (End.WHOLE, End.FAILED, End.LEFT) if outcome.detail != "no_worker" else (End.REFUSED,)
            assert outcome.end in ended, (act, outcome)
    assert await patient.leftovers() == []


async def test_a_frozen_worker_costs_its_caller_no_more_than_the_longest_time(patient: Patient) -> None:
    states = ("ANSWERING", "STOPPING", "CLEARING")
    asks = [with_worker_fault(patient.dice, patient.token, "freeze", state) for state in states]
    answering, stopping, clearing = await tried(patient, *asks)
    # Frozen at the prompt it is given up and another asked; where that one froze too, or the time was over, it is said.
    assert answering.end is End.WHOLE or answering.detail in ("worker_confused", "timeout", BROKEN_OFF.decode()), (
        answering
    )
    assert (stopping.end, clearing.end) == (End.LEFT, End.WHOLE)
    assert await patient.leftovers() == []


async def test_a_worker_that_freezes_in_a_switch_of_model_is_given_up_while_there_is_time_for_another(
    patient: Patient,
) -> None:
    (switching,) = await tried(patient, with_worker_fault(patient.dice, patient.token, "freeze", "SWITCHING"))
    assert (switching.end, switching.seconds < LONGEST_SECONDS) == (End.WHOLE, True), switching
    assert await patient.leftovers() == []


async def test_a_process_that_swells_is_replaced(patient: Patient) -> None:
    asks = [with_worker_fault(patient.dice, patient.token, "swell", "ANSWERING") for _ in range(4)]
    assert {outcome.end for outcome in await tried(patient, *asks)} == {End.WHOLE}
    gateway = psutil.Process(patient.gateway.process.pid)
    async with asyncio.timeout(60):
        while max(child.memory_info().rss for child in gateway.children()) > 200 * 2**20:
            await tried(patient, ask(patient.dice, patient.token))


@pytest.mark.promise("faults.upstream")
async def test_whatever_the_upstream_does_every_request_ends_once(patient: Patient) -> None:
    asks = [ask(patient.dice, patient.token, upstream=fault) for fault in UPSTREAM_FAULTS]
    for outcome in await tried(patient, *asks):
        slow = any(word in outcome.ask.fault for word in ("delay", "silence", "pace"))
        assert outcome.end in ((End.WHOLE,) if slow else (End.WHOLE, End.FAILED, End.REFUSED)), outcome
    assert await patient.leftovers() == []


@pytest.mark.promise("faults.slow-reader")
async def test_a_caller_who_does_not_read_holds_up_nobody_and_gets_all_of_it_later(patient: Patient) -> None:
    (outcome,) = await tried(patient, long_ask(patient.token))
    assert outcome.end is End.WHOLE


async def test_callers_who_leave_at_any_point_leave_nothing_behind(patient: Patient) -> None:
    asks = [ask(patient.dice, patient.token, manner=Manner.LEAVES) for _ in range(12)]
    assert {outcome.end for outcome in await tried(patient, *asks)} <= {End.LEFT, End.WHOLE}
    assert await patient.leftovers() == []


async def test_sessions_remember_what_their_callers_were_answered(patient: Patient) -> None:
    plan = Plan(11, Odds(session=1.0, storm=0.0))
    async with asyncio.timeout(60):
        await patient.load.run(islice(iter(plan), 12), 4, lambda: True)
    assert patient.load.record.wrong == []
    assert await patient.leftovers() == []


async def test_a_crowd_with_faults_of_every_kind_is_accounted_for(patient: Patient) -> None:
    odds = Odds(worker=0.2, upstream=0.2, leaves=0.2, slow_worker=0.0, hang=0.0, stalls=0.0, storm=0.0)
    async with asyncio.timeout(90):
        await patient.load.run(islice(iter(Plan(12, odds)), 60), 8, lambda: True)
    assert patient.load.record.wrong == []
    assert await patient.leftovers() == []
