"""Each fault in each state: the client gets exactly one end, other clients notice nothing, nothing leaks.

These tests use a few chosen faults; `make soak` draws faults at random for as long as you like.
"""

import asyncio
from itertools import islice

import psutil
import pytest

from tests.e2e.faults.conftest import MAX_SECONDS, FaultTestbed
from tests.e2e.faults.gateway import API_KEY
from tests.e2e.faults.load_clients import CONNECTION_BROKEN, Outcome, RequestEnd
from tests.e2e.faults.plan import (
    UPSTREAM_FAULTS,
    WORKER_FAULTS,
    ClientBehavior,
    FaultOdds,
    LoadPlan,
    PlannedRequest,
    make_long_request,
    make_request,
    make_worker_fault_request,
)

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

STATES = ("STARTING", "IDLE", "SWITCHING", "REPLAYING", "REPLYING", "INTERRUPTING", "CLEARING")
# The process exits, sends valid frames at the wrong time, or sends garbage.
ACTIONS_IN_EVERY_STATE = ("kill", "babble", "garbage")


async def send_with_controls(testbed: FaultTestbed, *requests: PlannedRequest) -> list[Outcome]:
    """Send all requests at once, each followed by one without a fault, and check that only the faulty ones suffer."""

    async def send_pair(request: PlannedRequest) -> Outcome:
        outcome = await testbed.load.send(request, API_KEY)
        testbed.load.record_outcome(outcome)
        control = await testbed.load.send(make_request(testbed.rng, testbed.next_token), API_KEY)
        testbed.load.record_outcome(control)
        assert control.end is RequestEnd.COMPLETE, (
            request.fault or request.start_fault or request.switch_fault,
            control,
        )
        return outcome

    async with asyncio.timeout(60):
        outcomes = list(await asyncio.gather(*map(send_pair, requests)))
        assert {control.end for control in await testbed.send_plain_requests()} == {RequestEnd.COMPLETE}
    assert testbed.load.record.problems == []
    return outcomes


@pytest.mark.promise("faults.workers")
@pytest.mark.parametrize("state", STATES)
async def test_worker_failure_in_any_state_costs_at_most_its_own_reply(testbed: FaultTestbed, state: str) -> None:
    for action, fault_state in WORKER_FAULTS:
        if fault_state == state and (action in ACTIONS_IN_EVERY_STATE or state == "REPLYING"):
            (outcome,) = await send_with_controls(
                testbed, make_worker_fault_request(testbed.rng, testbed.next_token, action, state)
            )
            expected = (
                (RequestEnd.COMPLETE, RequestEnd.FAILED, RequestEnd.DISCONNECTED)
                if outcome.detail != "worker_unavailable"
                else (RequestEnd.REJECTED,)
            )
            assert outcome.end in expected, (action, outcome)
    assert await testbed.find_leaks() == []


async def test_frozen_worker_costs_its_client_at_most_the_job_timeout(testbed: FaultTestbed) -> None:
    states = ("REPLYING", "INTERRUPTING", "CLEARING")
    requests = [make_worker_fault_request(testbed.rng, testbed.next_token, "freeze", state) for state in states]
    replying, interrupting, clearing = await send_with_controls(testbed, *requests)
    # The gateway gives the job to another worker. If that one freezes, too, or time is up, the client gets an error.
    assert replying.end is RequestEnd.COMPLETE or replying.detail in (
        "protocol_error",
        "timeout",
        CONNECTION_BROKEN.decode(),
    ), replying
    assert (interrupting.end, clearing.end) == (RequestEnd.DISCONNECTED, RequestEnd.COMPLETE)
    assert await testbed.find_leaks() == []


async def test_worker_that_freezes_in_a_model_switch_is_abandoned_in_time_for_a_retry(
    testbed: FaultTestbed,
) -> None:
    (switching,) = await send_with_controls(
        testbed, make_worker_fault_request(testbed.rng, testbed.next_token, "freeze", "SWITCHING")
    )
    assert (switching.end, switching.duration_seconds < MAX_SECONDS) == (RequestEnd.COMPLETE, True), switching
    assert await testbed.find_leaks() == []


async def test_process_that_grows_too_large_is_replaced(testbed: FaultTestbed) -> None:
    requests = [make_worker_fault_request(testbed.rng, testbed.next_token, "swell", "REPLYING") for _ in range(4)]
    assert {outcome.end for outcome in await send_with_controls(testbed, *requests)} == {RequestEnd.COMPLETE}
    gateway = psutil.Process(testbed.gateway.process.pid)
    async with asyncio.timeout(60):
        while max(child.memory_info().rss for child in gateway.children()) > 200 * 2**20:
            await send_with_controls(testbed, make_request(testbed.rng, testbed.next_token))


@pytest.mark.promise("faults.upstream")
async def test_every_request_ends_once_under_any_upstream_fault(testbed: FaultTestbed) -> None:
    requests = [make_request(testbed.rng, testbed.next_token, upstream_fault=fault) for fault in UPSTREAM_FAULTS]
    for outcome in await send_with_controls(testbed, *requests):
        is_slow = any(word in outcome.request.fault for word in ("delay", "silence", "pace"))
        assert outcome.end in (
            (RequestEnd.COMPLETE,) if is_slow else (RequestEnd.COMPLETE, RequestEnd.FAILED, RequestEnd.REJECTED)
        ), outcome
    assert await testbed.find_leaks() == []


@pytest.mark.promise("faults.slow-reader")
async def test_client_that_stops_reading_delays_no_other_client_and_gets_the_whole_reply(testbed: FaultTestbed) -> None:
    (outcome,) = await send_with_controls(testbed, make_long_request(testbed.next_token))
    assert outcome.end is RequestEnd.COMPLETE


async def test_clients_that_disconnect_at_any_point_leave_nothing_behind(testbed: FaultTestbed) -> None:
    requests = [make_request(testbed.rng, testbed.next_token, behavior=ClientBehavior.DISCONNECTS) for _ in range(12)]
    assert {outcome.end for outcome in await send_with_controls(testbed, *requests)} <= {
        RequestEnd.DISCONNECTED,
        RequestEnd.COMPLETE,
    }
    assert await testbed.find_leaks() == []


async def test_sessions_store_the_replies_that_their_clients_received(testbed: FaultTestbed) -> None:
    plan = LoadPlan(11, FaultOdds(session=1.0, storm=0.0))
    async with asyncio.timeout(60):
        await testbed.load.run(islice(iter(plan), 12), 4, lambda: True)
    assert testbed.load.record.problems == []
    assert await testbed.find_leaks() == []


async def test_usage_records_match_a_load_with_every_kind_of_fault(testbed: FaultTestbed) -> None:
    odds = FaultOdds(worker=0.2, upstream=0.2, disconnects=0.2, slow_worker=0.0, hang=0.0, stalls=0.0, storm=0.0)
    async with asyncio.timeout(90):
        await testbed.load.run(islice(iter(LoadPlan(12, odds)), 60), 8, lambda: True)
    assert testbed.load.record.problems == []
    assert await testbed.find_leaks() == []
