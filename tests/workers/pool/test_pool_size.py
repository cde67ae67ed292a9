"""Tests of the number of processes of a pool: the capacity, the spares, and the processes that the pool ends."""

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.workers.helpers import MODEL
from workers.core.memory_state import MemoryState
from workers.core.settings import PoolSettings
from workers.pool.conversation_use import ConversationUse
from workers.pool.pool_size import (
    compute_capacity,
    count_kept_spares,
    count_wanted_spares,
    find_unneeded_workers,
    find_worker_to_end_for_spare,
)
from workers.pool.selection import Phase, PoolState, WorkerSnapshot

SETTINGS = PoolSettings(2, 1, max_jobs=500, max_age_seconds=1e6, max_rss_mib=700, idle_seconds=900.0)
NOW = 10_000.0

tenants = st.sampled_from([None, "key:ann", "key:bob", "group:team"])
workers = st.lists(
    st.builds(
        WorkerSnapshot,
        id=st.integers(1, 99),
        phase=st.sampled_from(Phase),
        tenant=tenants,
        model=st.just(MODEL),
        system_prompt_was_set=st.booleans(),
        use=st.builds(ConversationUse, last_used_at=st.floats(0, NOW), continued_count=st.integers(0, 2)),
        conversation_key=st.sampled_from([None, "x"]),
    ),
    max_size=8,
    unique_by=lambda worker: worker.id,
)


def make_worker(id_: int, key_id: str | None = None, *, idle_for: float = 0.0, phase: Phase = Phase.READY) -> Any:
    tenant = f"key:{key_id}" if key_id else None
    return WorkerSnapshot(id_, phase, tenant, MODEL, False, ConversationUse(NOW - idle_for), "x" if key_id else None)


def compute(total_mib: int, agents: int = 0, **changes: Any) -> int:
    return compute_capacity(replace(SETTINGS, **changes), MemoryState(total_mib, total_mib), agents)


@pytest.mark.parametrize(
    ("total_mib", "agents", "capacity"),
    [(512, 0, 2), (2_048, 0, 3), (4_096, 0, 8), (4_096, 3, 5), (8_192, 3, 15), (16_384, 3, 34), (10**8, 3, 1_000)],
)
def test_two_thirds_of_the_memory_determine_the_capacity(total_mib: int, agents: int, capacity: int) -> None:
    assert compute(total_mib, agents) == capacity


@given(st.integers(0, 10**6), st.integers(0, 20), st.integers(1, 64))
def test_capacity_is_never_below_the_number_of_jobs_at_the_same_time(total_mib: int, agents: int, jobs: int) -> None:
    assert compute(total_mib, agents, worker_count=jobs) >= jobs


def test_setting_replaces_the_number_that_the_memory_allows() -> None:
    assert compute(512, 3, max_processes=40) == 40
    assert compute(64_000, max_processes=4) == 4
    assert compute(64_000, max_processes=1) == 2


def test_keeps_processes_for_all_jobs_and_the_spares_while_clients_send_jobs() -> None:
    def count(*used: str, idle_for: float = 0.0) -> int:
        return count_kept_spares(SETTINGS, [make_worker(n, key) for n, key in enumerate(used)], NOW - idle_for, NOW)

    assert [count(), count("ann"), count("ann", "ann"), count("ann", "bob", "eve")] == [3, 2, 1, 1]
    assert count(idle_for=899.0) == 3
    assert count(idle_for=900.0) == 1


def count_wanted(
    used: Collection[WorkerSnapshot],
    expected: Collection[str] = (),
    used_spares: Collection[float] = (),
    **changes: Any,
) -> int:
    return count_wanted_spares(1, replace(SETTINGS, **changes), list(used), expected, used_spares, NOW)


def test_wants_a_spare_for_each_waiting_tenant_without_a_process() -> None:
    ann = [make_worker(1, "ann")]
    assert count_wanted(ann, ["key:ann"]) == 1
    assert count_wanted(ann, ["key:bob"]) == 2
    assert count_wanted(ann, ["key:bob", "key:eve"]) == 3
    assert count_wanted(ann, ["key:bob", "key:eve", "key:joe", "key:sam"]) == 3


def test_wants_more_spares_shortly_after_jobs_took_some() -> None:
    assert count_wanted([], used_spares=[NOW - 1.9]) == 2
    assert count_wanted([], used_spares=[NOW - 2.0]) == 1
    assert count_wanted([], used_spares=[NOW] * 9) == 3
    assert count_wanted([], used_spares=[NOW] * 9, spare_count=0) == 1


def find_victim(present: list[WorkerSnapshot], capacity: int, expected: Collection[str] = ()) -> int | None:
    return find_worker_to_end_for_spare(PoolState(present, capacity, NOW, spare_count=1), expected)


def test_only_a_full_pool_ends_a_process_for_a_spare() -> None:
    idle = [make_worker(1, "ann", idle_for=61), make_worker(2, "ann", idle_for=62)]
    assert find_victim(idle, 3) is None
    assert find_victim(idle, 2) == 2
    assert find_victim([*idle, make_worker(3)], 3) is None


def test_process_that_was_used_a_short_time_ago_stays_unless_another_tenant_waits() -> None:
    used = [make_worker(1, "ann", idle_for=59), make_worker(2, "ann", idle_for=10)]
    assert find_victim(used, 2) is None
    assert find_victim(used, 2, ["key:ann"]) is None
    assert find_victim(used, 2, ["key:bob"]) == 1
    assert find_victim([used[0], make_worker(3)], 2, ["key:bob"]) is None


def test_does_not_end_a_busy_process_for_a_waiting_tenant() -> None:
    busy = [make_worker(n, "ann", phase=Phase.BUSY) for n in (1, 2)]
    assert find_victim(busy, 2, ["key:bob"]) is None


def find_unneeded(
    present: list[WorkerSnapshot], capacity: int = 8, kept: int = 1, *, is_scarce: bool = False
) -> list[int]:
    state = PoolState(present, capacity, NOW, spare_count=1)
    return sorted(find_unneeded_workers(state, kept, 900.0, is_scarce=is_scarce))


def test_ends_processes_without_a_job_for_the_idle_time() -> None:
    present = [make_worker(1, "ann", idle_for=900), make_worker(2, "ann", idle_for=899), make_worker(3, idle_for=9_000)]
    assert find_unneeded(present) == [1]


def test_ends_extra_spares_after_a_minute_and_keeps_those_that_started_last() -> None:
    spares = [make_worker(1, idle_for=70), make_worker(2, idle_for=60), make_worker(3, idle_for=59)]
    assert find_unneeded(spares) == [1, 2]
    assert find_unneeded(spares, kept=2) == [1]
    assert find_unneeded(spares, kept=3) == []


@pytest.mark.promise("pool.memory")
def test_ends_all_idle_processes_except_for_the_spares_if_the_memory_is_scarce() -> None:
    present = [
        make_worker(1, "ann"),
        make_worker(2, "bob", phase=Phase.BUSY),
        make_worker(3),
        make_worker(4, idle_for=1),
        make_worker(5, phase=Phase.STARTING),
        make_worker(6, "bob", phase=Phase.RECOVERING),
    ]
    assert find_unneeded(present, is_scarce=True) == [1, 4]


def test_ends_the_processes_that_were_used_least_recently_if_there_is_memory_for_fewer() -> None:
    present = [make_worker(n, "ann", idle_for=n) for n in (1, 2, 3)] + [make_worker(4)]
    assert find_unneeded(present, capacity=2) == [2, 3]
    assert find_unneeded([replace(one, phase=Phase.BUSY) for one in present], capacity=2) == []


@given(workers, st.integers(1, 8), st.integers(0, 4), st.booleans())
def test_never_ends_a_process_that_runs_a_job_starts_or_recovers(
    present: list[WorkerSnapshot], capacity: int, kept: int, is_scarce: bool
) -> None:
    unneeded = find_unneeded(present, capacity, kept, is_scarce=is_scarce)
    assert all(worker.phase is Phase.READY for worker in present if worker.id in unneeded)


@given(workers, st.integers(1, 8), st.lists(tenants.filter(bool), max_size=3))
def test_ends_only_an_idle_process_with_a_tenant_for_a_spare(
    present: list[WorkerSnapshot], capacity: int, expected: list[str]
) -> None:
    victim = find_victim(present, capacity, expected)
    assert all(worker.is_idle for worker in present if worker.id == victim)
