from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.workers.helpers import MODEL, assistant_turn, make_job, user_turn
from workers.conversation.prefix_keys import compute_prefix_keys
from workers.core.job import ChatJob
from workers.pool.conversation_use import ConversationUse
from workers.pool.selection import (
    MAX_SINGLE_QUESTIONS_PER_TENANT,
    Decision,
    EvictWorker,
    Phase,
    PoolState,
    UseWorker,
    WaitForStart,
    WaitForWorker,
    WorkerSnapshot,
    select_worker,
)

NOW = 10.0

uses = st.builds(
    ConversationUse,
    last_used_at=st.floats(0, NOW),
    continued_count=st.integers(0, 2),
    mean_interval_seconds=st.floats(0, 20),
)
snapshots = st.lists(
    st.builds(
        WorkerSnapshot,
        id=st.integers(1, 99),
        phase=st.sampled_from(Phase),
        tenant=st.sampled_from([None, "key:ann", "key:bob", "key:eve"]),
        model=st.sampled_from([MODEL, "other"]),
        system_prompt_was_set=st.booleans(),
        use=uses,
        conversation_key=st.sampled_from([None, "x"]),
    ),
    max_size=8,
    unique_by=lambda snapshot: snapshot.id,
)
jobs = st.builds(make_job, key_id=st.sampled_from(["ann", "bob"]), system=st.sampled_from(["", "be brief"]))
capacities = st.integers(1, 6)


def decide(
    job: ChatJob,
    snapshots: list[WorkerSnapshot],
    capacity: int,
    *,
    spare_count: int = 1,
    waiting_count: int = 0,
    worker_count: int = 1,
    is_known: bool = False,
) -> Decision:
    state = PoolState(snapshots, capacity, NOW, spare_count, waiting_count, worker_count)
    return select_worker(job, compute_prefix_keys(job), state, is_known=is_known)


def ready(
    id_: int,
    key_id: str | None = None,
    *,
    model: str = MODEL,
    system_prompt_was_set: bool = False,
    last_used_at: float = 0,
    conversation_key: str | None = None,
    continued_every: float | None = None,
) -> WorkerSnapshot:
    """Return an idle worker. With `continued_every`, the client continued its conversation at this interval."""
    use = ConversationUse(last_used_at, int(continued_every is not None), continued_every or 0.0)
    tenant = f"key:{key_id}" if key_id else None
    return WorkerSnapshot(id_, Phase.READY, tenant, model, system_prompt_was_set, use, conversation_key)


@given(jobs, snapshots, capacities)
def test_selected_worker_is_ready_and_belongs_to_the_key_or_is_a_spare(
    job: ChatJob, snapshots: list[WorkerSnapshot], capacity: int
) -> None:
    match decide(job, snapshots, capacity):
        case UseWorker(id_):
            [selected] = [snapshot for snapshot in snapshots if snapshot.id == id_]
            assert selected.phase is Phase.READY
            assert selected.tenant in (None, job.tenant)


@given(jobs, snapshots, capacities)
def test_job_without_a_system_prompt_never_gets_a_used_worker_that_had_one(
    job: ChatJob, snapshots: list[WorkerSnapshot], capacity: int
) -> None:
    match decide(job, snapshots, capacity):
        case UseWorker(id_):
            [selected] = [snapshot for snapshot in snapshots if snapshot.id == id_]
            assert job.system or not (selected.tenant and selected.system_prompt_was_set)


@given(jobs, snapshots, capacities)
def test_evicts_only_idle_workers_and_only_at_the_capacity(
    job: ChatJob, snapshots: list[WorkerSnapshot], capacity: int
) -> None:
    match decide(job, snapshots, capacity):
        case EvictWorker(id_):
            [evicted] = [snapshot for snapshot in snapshots if snapshot.id == id_]
            assert evicted.phase in (Phase.READY, Phase.RECOVERING)
            assert len(snapshots) >= capacity


@given(jobs, snapshots, capacities)
def test_waits_for_a_start_only_if_a_process_starts_or_may_start(
    job: ChatJob, snapshots: list[WorkerSnapshot], capacity: int
) -> None:
    if decide(job, snapshots, capacity) == WaitForStart():
        starting = [snapshot for snapshot in snapshots if (snapshot.tenant, snapshot.phase) == (None, Phase.STARTING)]
        assert starting or len(snapshots) < capacity


@given(jobs, snapshots, capacities)
def test_repeated_selection_stops_evicting(job: ChatJob, snapshots: list[WorkerSnapshot], capacity: int) -> None:
    """A spare replaces each evicted worker, so repeated selection ends with a worker or a wait."""
    workers = list(snapshots)
    for new_id in range(100, 100 + len(snapshots) + 1):
        decision = decide(job, workers, capacity)
        if not isinstance(decision, EvictWorker):
            return
        workers = [snapshot for snapshot in workers if snapshot.id != decision.id] + [ready(new_id)]
    pytest.fail("the selection never stops evicting workers")


@given(jobs, st.lists(st.sampled_from(["ann", "bob", "eve", None]), min_size=1))
def test_job_never_waits_for_another_job_while_all_workers_are_idle(job: ChatJob, key_ids: list[str | None]) -> None:
    workers = [ready(id_, key_id) for id_, key_id in enumerate(key_ids, 1)]
    assert not isinstance(decide(job, workers, len(workers)), WaitForWorker)


def test_prefers_an_empty_worker_of_the_tenant_to_a_spare() -> None:
    assert decide(make_job(), [ready(1), ready(2, "ann")], 2) == UseWorker(2)


def test_prefers_a_worker_with_the_same_model_to_one_used_later() -> None:
    workers = [ready(1, "ann", model="other", last_used_at=9), ready(2, "ann", last_used_at=1)]
    assert decide(make_job(), workers, 2) == UseWorker(2)


def test_prefers_the_empty_worker_that_was_used_last() -> None:
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


def test_starts_a_process_below_the_capacity_instead_of_evicting() -> None:
    assert decide(make_job(), [ready(1, "bob"), ready(2, "eve")], 3) == WaitForStart()


def test_each_waiting_job_gets_a_process_that_starts() -> None:
    starting = replace(ready(3), phase=Phase.STARTING)
    workers = [ready(1, "bob"), ready(2, "eve"), starting]
    assert decide(make_job(), workers, 3) == WaitForStart()
    assert isinstance(decide(make_job(), workers, 3, waiting_count=1), EvictWorker)


def test_takes_the_oldest_single_question_of_another_tenant_first() -> None:
    workers = [
        ready(1, "bob", last_used_at=1, conversation_key="a", continued_every=2),
        ready(2, "eve", last_used_at=5, conversation_key="b"),
        ready(3, "eve", last_used_at=3, conversation_key="c"),
    ]
    assert decide(make_job(), workers, 3) == EvictWorker(3)


def test_takes_a_process_first_from_an_tenant_with_several() -> None:
    workers = [
        ready(1, "bob", last_used_at=1, conversation_key="a"),
        ready(2, "eve", last_used_at=2, conversation_key="b", continued_every=1),
        ready(3, "eve", last_used_at=2, conversation_key="c", continued_every=1),
    ]
    assert decide(make_job(), workers, 3) == EvictWorker(2)


def test_tenant_with_many_processes_does_not_take_the_only_one_of_another() -> None:
    own = [ready(n, "ann", last_used_at=9, conversation_key=f"c{n}", continued_every=1) for n in (1, 2)]
    other = ready(3, "bob", last_used_at=0, conversation_key="b")
    decision = decide(make_job(), [*own, other], 3)
    assert isinstance(decision, UseWorker)
    assert decision.id in (1, 2)


def test_never_evicts_a_busy_worker() -> None:
    busy = [replace(ready(1, "bob"), phase=Phase.BUSY), replace(ready(2, "eve"), phase=Phase.BUSY)]
    assert decide(make_job(), busy, 2) == WaitForWorker()


def test_takes_a_spare_instead_of_waiting_for_a_recovering_worker() -> None:
    recovering = replace(ready(1, "ann"), phase=Phase.RECOVERING)
    assert decide(make_job(), [recovering, ready(2)], 2) == UseWorker(2)


def test_waits_for_a_recovering_worker_instead_of_evicting_another() -> None:
    recovering = replace(ready(1, "ann"), phase=Phase.RECOVERING)
    assert decide(make_job(), [recovering, ready(2, "bob")], 2) == WaitForWorker()


def test_job_waits_while_no_worker_is_ready() -> None:
    assert decide(make_job(), [], 1) == WaitForStart()
    assert decide(make_job(), [replace(ready(1), phase=Phase.STARTING)], 1) == WaitForStart()


def test_jobs_with_and_without_a_system_prompt_alternate_without_eviction() -> None:
    """With two workers, each kind of job has a worker of its own."""
    pair = [ready(1, "ann", last_used_at=1), ready(2, "ann", system_prompt_was_set=True, last_used_at=2)]
    for step in range(3, 13):
        job = make_job(key_id="ann", system="be brief" if step % 2 else "")
        decision = decide(job, pair, capacity=2)
        assert isinstance(decision, UseWorker)
        pair = [
            replace(
                snapshot,
                system_prompt_was_set=snapshot.system_prompt_was_set or bool(job.system),
                use=ConversationUse(step),
            )
            if snapshot.id == decision.id
            else snapshot
            for snapshot in pair
        ]


def test_prefers_an_empty_worker_to_one_with_a_conversation() -> None:
    held = ready(1, "ann", last_used_at=9, conversation_key="x")
    assert decide(make_job(), [held, ready(2, "ann", last_used_at=1)], 2) == UseWorker(2)


def test_single_question_leaves_the_last_spare_of_a_full_pool_to_other_tenants() -> None:
    held, other = ready(1, "ann", conversation_key="x"), ready(3, "bob", conversation_key="y")
    assert decide(make_job(), [held, ready(2), other], 3) == UseWorker(1)
    assert decide(make_job(), [held, ready(2), other], 4) == UseWorker(2)
    assert decide(make_job(), [held, ready(2)], 2) == UseWorker(2)


def test_known_conversation_takes_the_last_spare() -> None:
    held, other = ready(1, "ann", conversation_key="x"), ready(3, "bob", conversation_key="y")
    job = make_job(user_turn("a"), assistant_turn("b"), user_turn("c"))
    assert decide(job, [held, ready(2), other], 3, is_known=True) == UseWorker(2)


def test_single_questions_of_one_tenant_do_not_fill_the_pool() -> None:
    held = [ready(n, "ann", last_used_at=n, conversation_key=f"c{n}") for n in range(MAX_SINGLE_QUESTIONS_PER_TENANT)]
    assert decide(make_job(), [*held, ready(98), ready(99)], 50) == UseWorker(0)
    assert isinstance(decide(make_job(), [*held[1:], ready(98), ready(99)], 50), UseWorker)
    assert decide(make_job(), [*held[1:], ready(98), ready(99)], 50) == UseWorker(98)


def test_burst_of_single_questions_stays_in_the_process_that_was_used_last() -> None:
    workers = [ready(n, "ann", last_used_at=NOW - n / 10, conversation_key=f"c{n}") for n in (2, 1, 3)]
    assert decide(make_job(), [*workers, ready(9)], 50) == UseWorker(1)
    recovering = [replace(worker, phase=Phase.RECOVERING) for worker in workers]
    assert decide(make_job(), [*recovering, ready(9)], 50) == WaitForWorker()
    assert decide(make_job(), [recovering[1], ready(9)], 50, worker_count=2) == UseWorker(9)


def test_replaces_the_oldest_single_question_first() -> None:
    workers = [ready(n, "ann", last_used_at=n, conversation_key=f"c{n}") for n in (2, 1, 3)]
    assert decide(make_job(), workers, 3) == UseWorker(1)


def test_single_question_does_not_replace_a_continued_conversation() -> None:
    """Such a question is, for example, a coding agent's request for a title."""
    main = ready(1, "ann", last_used_at=1, conversation_key="main", continued_every=5)
    title = ready(2, "ann", last_used_at=9, conversation_key="title")
    assert decide(make_job(), [main, title], 2, spare_count=0) == UseWorker(2)
    assert decide(make_job(), [main, ready(3)], 2) == UseWorker(3)
    assert decide(make_job(), [main], 2, spare_count=0) == WaitForStart()
    assert decide(make_job(), [main, ready(2, "bob"), ready(3, "bob")], 3, spare_count=0) == EvictWorker(2)


def test_replaces_the_continued_conversation_that_is_expected_last() -> None:
    workers = [
        ready(1, "ann", last_used_at=9, conversation_key="due in 5", continued_every=6),
        ready(2, "ann", last_used_at=9, conversation_key="due in 19", continued_every=20),
        ready(3, "ann", last_used_at=7, conversation_key="3 late", continued_every=1),
    ]
    assert decide(make_job(), workers, 3) == UseWorker(2)


@pytest.mark.promise("conversations.prefix")
def test_job_continues_in_the_worker_with_its_conversation() -> None:
    job = make_job(user_turn("a"), assistant_turn("b"), user_turn("c"))
    same_conversation = ready(1, "ann", conversation_key=compute_prefix_keys(job)[-1])
    assert decide(job, [ready(2, "ann", last_used_at=9), same_conversation], 2) == UseWorker(1)
    assert decide(job, [ready(2, "ann"), replace(same_conversation, phase=Phase.RECOVERING)], 2) == WaitForWorker()
    assert decide(job, [ready(2, "ann"), replace(same_conversation, phase=Phase.BUSY)], 2) == UseWorker(2)


def test_repeated_prompt_goes_to_the_worker_that_answered_it() -> None:
    job = make_job(user_turn("a"), assistant_turn("b"), user_turn("c"))
    one_exchange_ahead = replace(
        ready(1, "ann"), conversation_key="with the reply", previous_conversation_key=compute_prefix_keys(job)[-1]
    )
    assert decide(job, [ready(2, "ann", last_used_at=9), one_exchange_ahead], 2) == UseWorker(1)


def test_job_waits_for_the_worker_that_recovers_from_a_failed_try_of_the_same_turn() -> None:
    job = make_job(user_turn("a"), assistant_turn("b"), user_turn("c"))
    recovering = replace(
        ready(1, "ann"), phase=Phase.RECOVERING, previous_conversation_key=compute_prefix_keys(job)[-1]
    )
    assert decide(job, [recovering, ready(2)], 2) == WaitForWorker()


def test_first_turns_of_two_conversations_do_not_count_as_one_conversation() -> None:
    job = make_job(user_turn("a"))
    first_job = replace(ready(1, "ann"), conversation_key="x", previous_conversation_key=compute_prefix_keys(job)[-1])
    assert decide(job, [first_job, ready(2, "ann")], 2) == UseWorker(2)


def test_tenant_with_its_share_does_not_take_a_process_that_has_been_idle_for_long() -> None:
    now = 1_000.0
    own = [ready(n, "ann", last_used_at=now, conversation_key=f"c{n}", continued_every=1) for n in (1, 2)]
    other = ready(3, "bob", last_used_at=0, conversation_key="b", continued_every=1)
    assert PoolState([*own, other], 3, now).find_evictable("key:ann") is None
    assert PoolState([own[0], other], 4, now).find_evictable("key:ann") == other
