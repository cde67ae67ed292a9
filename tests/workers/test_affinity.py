from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.workers.helpers import MODEL, a_job, assistant, user
from workers.affinity import Phase, Replace, Take, View, Wait, choose, to_clear
from workers.continuation import history_key
from workers.job import ChatJob

views = st.lists(
    st.builds(
        View,
        id=st.integers(1, 99),
        phase=st.sampled_from(Phase),
        owner=st.sampled_from([None, "ann", "bob", "eve"]),
        model=st.sampled_from([MODEL, "other"]),
        had_system=st.booleans(),
        last_used=st.floats(0, 10),
    ),
    max_size=8,
    unique_by=lambda view: view.id,
)
jobs = st.builds(a_job, owner=st.sampled_from(["ann", "bob"]), system=st.sampled_from(["", "be brief"]))
capacities = st.integers(1, 6)


def ready(id_: int, owner: str | None = None, *, model: str = MODEL, had_system: bool = False, used: float = 0) -> View:
    return View(id_, Phase.READY, owner, model, had_system, used)


@given(jobs, views, capacities)
def test_a_worker_taken_is_ready_and_the_owners_or_nobodys(job: ChatJob, views: list[View], capacity: int) -> None:
    match choose(job, views, capacity):
        case Take(id_):
            [taken] = [view for view in views if view.id == id_]
            assert taken.phase is Phase.READY
            assert taken.owner in (None, job.owner)


@given(jobs, views, capacities)
def test_a_job_without_a_system_prompt_never_gets_a_used_worker_that_had_one(
    job: ChatJob, views: list[View], capacity: int
) -> None:
    match choose(job, views, capacity):
        case Take(id_):
            [taken] = [view for view in views if view.id == id_]
            assert job.system or not (taken.owner and taken.had_system)


@given(jobs, views, capacities)
def test_taking_a_spare_never_puts_more_workers_than_the_capacity_into_hands(
    job: ChatJob, views: list[View], capacity: int
) -> None:
    owned = sum(view.owner is not None for view in views)
    match choose(job, views, capacity):
        case Take(id_):
            [taken] = [view for view in views if view.id == id_]
            assert taken.owner is not None or owned < capacity


@given(jobs, views, capacities)
def test_only_an_idle_worker_in_somebodys_hands_is_replaced_and_only_for_want_of_room(
    job: ChatJob, views: list[View], capacity: int
) -> None:
    match choose(job, views, capacity):
        case Replace(id_):
            [ended] = [view for view in views if view.id == id_]
            assert ended.owner is not None
            assert ended.phase in (Phase.READY, Phase.RECOVERING)
            assert sum(view.owner is not None for view in views) >= capacity


@given(jobs, views, capacities)
def test_replacing_comes_to_an_end(job: ChatJob, views: list[View], capacity: int) -> None:
    """Each worker replaced leaves a fresh spare, so a job that keeps choosing is served or waits for one in use."""
    left = list(views)
    for fresh in range(100, 100 + len(views) + 1):
        decision = choose(job, left, capacity)
        if not isinstance(decision, Replace):
            return
        left = [view for view in left if view.id != decision.id] + [ready(fresh)]
    pytest.fail("it never stops replacing")


@given(jobs, st.lists(st.sampled_from(["ann", "bob", "eve", None]), min_size=1), capacities)
def test_a_job_with_a_slot_is_never_left_waiting_when_all_are_idle(
    job: ChatJob, owners: list[str | None], capacity: int
) -> None:
    spare = ready(0)
    left = [spare, *(ready(id_, owner) for id_, owner in enumerate(owners, 1))]
    assert not isinstance(choose(job, left, capacity), Wait)


def test_a_worker_of_the_owner_comes_before_a_spare() -> None:
    assert choose(a_job(), [ready(1), ready(2, "ann")], 2) == Take(2)


def test_a_worker_set_to_the_model_comes_before_one_used_later() -> None:
    workers = [ready(1, "ann", model="other", used=9), ready(2, "ann", used=1)]
    assert choose(a_job(), workers, 2) == Take(2)


def test_among_equals_the_one_used_last_is_taken() -> None:
    assert choose(a_job(), [ready(1, "ann", used=1), ready(2, "ann", used=2), ready(3, "ann", used=0)], 3) == Take(2)


def test_among_spares_the_one_set_to_the_model_and_then_the_oldest_is_taken() -> None:
    assert choose(a_job(), [ready(1, model="other"), ready(3), ready(2)], 3) == Take(2)


def test_a_worker_that_had_a_system_prompt_serves_a_job_that_has_one() -> None:
    workers = [ready(1, "ann", had_system=True)]
    assert choose(a_job(system="be brief"), workers, 1) == Take(1)
    assert choose(a_job(), workers, 1) == Replace(1)


def test_at_the_capacity_the_worker_unused_for_longest_gives_way() -> None:
    assert choose(a_job(), [ready(1, "bob", used=5), ready(2, "eve", used=3), ready(3)], 2) == Replace(2)


def test_a_worker_in_use_is_never_replaced() -> None:
    busy = [replace(ready(1, "bob"), phase=Phase.BUSY), replace(ready(2, "eve"), phase=Phase.BOOTING)]
    assert choose(a_job(), busy, 2) == Wait()


def test_a_spare_is_not_waited_behind_for_an_own_worker_that_recovers() -> None:
    recovering = replace(ready(1, "ann"), phase=Phase.RECOVERING)
    assert choose(a_job(), [recovering, ready(2)], 2) == Take(2)


def test_an_own_worker_that_recovers_is_waited_for_rather_than_another_replaced() -> None:
    recovering = replace(ready(1, "ann"), phase=Phase.RECOVERING)
    assert choose(a_job(), [recovering, ready(2, "bob")], 2) == Wait()


def test_while_nothing_is_up_a_job_waits() -> None:
    assert choose(a_job(), [], 1) == Wait()
    assert choose(a_job(), [replace(ready(1), phase=Phase.BOOTING)], 1) == Wait()


def test_jobs_with_and_without_a_system_prompt_take_turns_without_a_replacement() -> None:
    """On two workers one is left to each kind."""
    pair = [ready(1, "ann", used=1), ready(2, "ann", had_system=True, used=2)]
    for step in range(3, 13):
        job = a_job(owner="ann", system="be brief" if step % 2 else "")
        chosen = choose(job, pair, capacity=2)
        assert isinstance(chosen, Take)
        pair = [
            replace(view, had_system=view.had_system or bool(job.system), last_used=step)
            if view.id == chosen.id
            else view
            for view in pair
        ]


@given(views, capacities)
def test_only_an_idle_conversation_is_ever_given_up(views: list[View], capacity: int) -> None:
    kept = [replace(view, conversation="held" if view.id % 2 else None) for view in views]
    chosen = to_clear(kept, capacity)
    if chosen is not None:
        [view] = [view for view in kept if view.id == chosen]
        assert view.phase is Phase.READY
        assert view.conversation == "held"


def test_the_conversation_left_alone_longest_is_given_up_when_less_than_half_are_empty() -> None:
    held = [replace(ready(n, "ann", used=n), conversation=f"c{n}") for n in range(1, 5)]
    assert to_clear(held, capacity=4) == 1
    assert to_clear([*held[1:], ready(9, "ann")], capacity=4) == 2
    assert to_clear([*held[2:], ready(8, "ann"), ready(9, "ann")], capacity=4) is None
    assert to_clear([*held[2:], ready(8), ready(9)], capacity=4) is None
    booting = [replace(ready(n), phase=Phase.BOOTING) for n in (8, 9)]
    assert to_clear([*held[2:], *booting], capacity=4) is None


def test_a_job_goes_on_where_its_conversation_is() -> None:
    job = a_job(user("hi"), assistant("one"), user("and?"), owner="ann")
    here = replace(ready(1, "ann"), conversation=history_key(job))
    assert choose(job, [ready(2, "ann", used=9), here], capacity=2) == Take(1)
    assert choose(job, [ready(2, "ann"), replace(here, phase=Phase.BUSY)], capacity=2) == Take(2)
    assert choose(job, [ready(2, "ann"), replace(here, phase=Phase.RECOVERING)], capacity=2) == Wait()
    assert choose(a_job(user("hi"), owner="ann"), [ready(2, "ann"), here], capacity=2) == Take(2)
