from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.workers.helpers import MODEL, assistant_turn, make_job, user_turn
from workers.conversation.prefix_keys import compute_prefix_keys
from workers.core.job import ChatJob
from workers.pool.selection import (
    Decision,
    EvictWorker,
    Phase,
    UseWorker,
    WaitForWorker,
    WorkerSnapshot,
    select_worker,
)

snapshots = st.lists(
    st.builds(
        WorkerSnapshot,
        id=st.integers(1, 99),
        phase=st.sampled_from(Phase),
        key_id=st.sampled_from([None, "ann", "bob", "eve"]),
        model=st.sampled_from([MODEL, "other"]),
        system_prompt_was_set=st.booleans(),
        last_used_at=st.floats(0, 10),
    ),
    max_size=8,
    unique_by=lambda snapshot: snapshot.id,
)
jobs = st.builds(make_job, key_id=st.sampled_from(["ann", "bob"]), system=st.sampled_from(["", "be brief"]))
capacities = st.integers(1, 6)


def decide(job: ChatJob, snapshots: list[WorkerSnapshot], capacity: int) -> Decision:
    return select_worker(job, compute_prefix_keys(job), snapshots, capacity)


def ready(
    id_: int,
    key_id: str | None = None,
    *,
    model: str = MODEL,
    system_prompt_was_set: bool = False,
    last_used_at: float = 0,
) -> WorkerSnapshot:
    return WorkerSnapshot(id_, Phase.READY, key_id, model, system_prompt_was_set, last_used_at)


@given(jobs, snapshots, capacities)
def test_selected_worker_is_ready_and_belongs_to_the_key_or_is_a_spare(
    job: ChatJob, snapshots: list[WorkerSnapshot], capacity: int
) -> None:
    match decide(job, snapshots, capacity):
        case UseWorker(id_):
            [selected] = [snapshot for snapshot in snapshots if snapshot.id == id_]
            assert selected.phase is Phase.READY
            assert selected.key_id in (None, job.key_id)


@given(jobs, snapshots, capacities)
def test_job_without_a_system_prompt_never_gets_a_used_worker_that_had_one(
    job: ChatJob, snapshots: list[WorkerSnapshot], capacity: int
) -> None:
    match decide(job, snapshots, capacity):
        case UseWorker(id_):
            [selected] = [snapshot for snapshot in snapshots if snapshot.id == id_]
            assert job.system or not (selected.key_id and selected.system_prompt_was_set)


@given(jobs, snapshots, capacities)
def test_selecting_a_spare_never_assigns_more_workers_than_the_capacity(
    job: ChatJob, snapshots: list[WorkerSnapshot], capacity: int
) -> None:
    assigned_count = sum(snapshot.key_id is not None for snapshot in snapshots)
    match decide(job, snapshots, capacity):
        case UseWorker(id_):
            [selected] = [snapshot for snapshot in snapshots if snapshot.id == id_]
            assert selected.key_id is not None or assigned_count < capacity


@given(jobs, snapshots, capacities)
def test_evicts_only_idle_assigned_workers_and_only_at_the_capacity(
    job: ChatJob, snapshots: list[WorkerSnapshot], capacity: int
) -> None:
    match decide(job, snapshots, capacity):
        case EvictWorker(id_):
            [evicted] = [snapshot for snapshot in snapshots if snapshot.id == id_]
            assert evicted.key_id is not None
            assert evicted.phase in (Phase.READY, Phase.RECOVERING)
            assert sum(snapshot.key_id is not None for snapshot in snapshots) >= capacity


@given(jobs, snapshots, capacities)
def test_repeated_selection_stops_evicting(job: ChatJob, snapshots: list[WorkerSnapshot], capacity: int) -> None:
    """A spare replaces each evicted worker, so repeated selection ends with a worker or a wait for a busy one."""
    workers = list(snapshots)
    for new_id in range(100, 100 + len(snapshots) + 1):
        decision = decide(job, workers, capacity)
        if not isinstance(decision, EvictWorker):
            return
        workers = [snapshot for snapshot in workers if snapshot.id != decision.id] + [ready(new_id)]
    pytest.fail("the selection never stops evicting workers")


@given(jobs, st.lists(st.sampled_from(["ann", "bob", "eve", None]), min_size=1), capacities)
def test_job_never_waits_while_all_workers_are_idle(job: ChatJob, key_ids: list[str | None], capacity: int) -> None:
    spare = ready(0)
    workers = [spare, *(ready(id_, key_id) for id_, key_id in enumerate(key_ids, 1))]
    assert not isinstance(decide(job, workers, capacity), WaitForWorker)


def test_prefers_a_worker_of_the_key_to_a_spare() -> None:
    assert decide(make_job(), [ready(1), ready(2, "ann")], 2) == UseWorker(2)


def test_prefers_a_worker_with_the_same_model_to_one_used_later() -> None:
    workers = [ready(1, "ann", model="other", last_used_at=9), ready(2, "ann", last_used_at=1)]
    assert decide(make_job(), workers, 2) == UseWorker(2)


def test_prefers_the_worker_that_was_used_last() -> None:
    assert decide(
        make_job(),
        [ready(1, "ann", last_used_at=1), ready(2, "ann", last_used_at=2), ready(3, "ann", last_used_at=0)],
        3,
    ) == UseWorker(2)


def test_prefers_the_spare_with_the_same_model_and_then_the_oldest() -> None:
    assert decide(make_job(), [ready(1, model="other"), ready(3), ready(2)], 3) == UseWorker(2)


def test_worker_that_had_a_system_prompt_serves_only_jobs_with_one() -> None:
    workers = [ready(1, "ann", system_prompt_was_set=True)]
    assert decide(make_job(system="be brief"), workers, 1) == UseWorker(1)
    assert decide(make_job(), workers, 1) == EvictWorker(1)


def test_evicts_the_least_recently_used_worker_at_the_capacity() -> None:
    assert decide(
        make_job(), [ready(1, "bob", last_used_at=5), ready(2, "eve", last_used_at=3), ready(3)], 2
    ) == EvictWorker(2)


def test_never_evicts_a_busy_worker() -> None:
    busy = [replace(ready(1, "bob"), phase=Phase.BUSY), replace(ready(2, "eve"), phase=Phase.STARTING)]
    assert decide(make_job(), busy, 2) == WaitForWorker()


def test_takes_a_spare_instead_of_waiting_for_a_recovering_worker() -> None:
    recovering = replace(ready(1, "ann"), phase=Phase.RECOVERING)
    assert decide(make_job(), [recovering, ready(2)], 2) == UseWorker(2)


def test_waits_for_a_recovering_worker_instead_of_evicting_another() -> None:
    recovering = replace(ready(1, "ann"), phase=Phase.RECOVERING)
    assert decide(make_job(), [recovering, ready(2, "bob")], 2) == WaitForWorker()


def test_job_waits_while_no_worker_is_ready() -> None:
    assert decide(make_job(), [], 1) == WaitForWorker()
    assert decide(make_job(), [replace(ready(1), phase=Phase.STARTING)], 1) == WaitForWorker()


def test_jobs_with_and_without_a_system_prompt_alternate_without_eviction() -> None:
    """With two workers, each kind of job has a worker of its own."""
    pair = [ready(1, "ann", last_used_at=1), ready(2, "ann", system_prompt_was_set=True, last_used_at=2)]
    for step in range(3, 13):
        job = make_job(key_id="ann", system="be brief" if step % 2 else "")
        decision = decide(job, pair, capacity=2)
        assert isinstance(decision, UseWorker)
        pair = [
            replace(
                snapshot, system_prompt_was_set=snapshot.system_prompt_was_set or bool(job.system), last_used_at=step
            )
            if snapshot.id == decision.id
            else snapshot
            for snapshot in pair
        ]


def test_prefers_an_empty_worker_to_one_with_a_conversation() -> None:
    workers = replace(ready(1, "ann", last_used_at=9), conversation_key="x")
    assert decide(make_job(), [workers, ready(2, "ann", last_used_at=1)], 2) == UseWorker(2)
    assert decide(make_job(), [workers, ready(2)], 2) == UseWorker(2)


def test_replaces_the_least_recently_used_conversation_first() -> None:
    workers = [replace(ready(n, "ann", last_used_at=n), conversation_key=f"c{n}") for n in (2, 1, 3)]
    assert decide(make_job(), workers, 3) == UseWorker(1)


@pytest.mark.promise("conversations.prefix")
def test_job_continues_in_the_worker_with_its_conversation() -> None:
    job = make_job(user_turn("a"), assistant_turn("b"), user_turn("c"))
    same_conversation = replace(ready(1, "ann"), conversation_key=compute_prefix_keys(job)[-1])
    assert decide(job, [ready(2, "ann", last_used_at=9), same_conversation], 2) == UseWorker(1)
    assert decide(job, [ready(2, "ann"), replace(same_conversation, phase=Phase.RECOVERING)], 2) == WaitForWorker()
    assert decide(job, [ready(2, "ann"), replace(same_conversation, phase=Phase.BUSY)], 2) == UseWorker(2)


def test_repeated_prompt_goes_to_the_worker_that_answered_it() -> None:
    job = make_job(user_turn("a"), assistant_turn("b"), user_turn("c"))
    one_exchange_ahead = replace(
        ready(1, "ann"), conversation_key="with the reply", previous_conversation_key=compute_prefix_keys(job)[-1]
    )
    assert decide(job, [ready(2, "ann", last_used_at=9), one_exchange_ahead], 2) == UseWorker(1)


def test_first_turns_of_two_conversations_do_not_count_as_one_conversation() -> None:
    job = make_job(user_turn("a"))
    first_job = replace(ready(1, "ann"), conversation_key="x", previous_conversation_key=compute_prefix_keys(job)[-1])
    assert decide(job, [first_job, ready(2, "ann")], 2) == UseWorker(2)
