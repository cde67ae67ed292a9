from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.workers.helpers import MODEL, a_job, assistant, user
from workers.affinity import Decision, Phase, Replace, Take, View, Wait, choose
from workers.continuation import beginnings
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


def decide(job: ChatJob, views: list[View], capacity: int) -> Decision:
    return choose(job, beginnings(job), views, capacity)


def ready(id_: int, owner: str | None = None, *, model: str = MODEL, had_system: bool = False, used: float = 0) -> View:
    return View(id_, Phase.READY, owner, model, had_system, used)


@given(jobs, views, capacities)
def test_a_worker_taken_is_ready_and_the_owners_or_nobodys(job: ChatJob, views: list[View], capacity: int) -> None:
    match decide(job, views, capacity):
        case Take(id_):
            [taken] = [view for view in views if view.id == id_]
            assert taken.phase is Phase.READY
            assert taken.owner in (None, job.owner)


@given(jobs, views, capacities)
def test_a_job_without_a_system_prompt_never_gets_a_used_worker_that_had_one(
    job: ChatJob, views: list[View], capacity: int
) -> None:
    match decide(job, views, capacity):
        case Take(id_):
            [taken] = [view for view in views if view.id == id_]
            assert job.system or not (taken.owner and taken.had_system)


@given(jobs, views, capacities)
def test_taking_a_spare_never_puts_more_workers_than_the_capacity_into_hands(
    job: ChatJob, views: list[View], capacity: int
) -> None:
    owned = sum(view.owner is not None for view in views)
    match decide(job, views, capacity):
        case Take(id_):
            [taken] = [view for view in views if view.id == id_]
            assert taken.owner is not None or owned < capacity


@given(jobs, views, capacities)
def test_only_an_idle_worker_in_somebodys_hands_is_replaced_and_only_for_want_of_room(
    job: ChatJob, views: list[View], capacity: int
) -> None:
    match decide(job, views, capacity):
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
        decision = decide(job, left, capacity)
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
    assert not isinstance(decide(job, left, capacity), Wait)


def test_a_worker_of_the_owner_comes_before_a_spare() -> None:
    assert decide(a_job(), [ready(1), ready(2, "ann")], 2) == Take(2)


def test_a_worker_set_to_the_model_comes_before_one_used_later() -> None:
    workers = [ready(1, "ann", model="other", used=9), ready(2, "ann", used=1)]
    assert decide(a_job(), workers, 2) == Take(2)


def test_among_equals_the_one_used_last_is_taken() -> None:
    assert decide(a_job(), [ready(1, "ann", used=1), ready(2, "ann", used=2), ready(3, "ann", used=0)], 3) == Take(2)


def test_among_spares_the_one_set_to_the_model_and_then_the_oldest_is_taken() -> None:
    assert decide(a_job(), [ready(1, model="other"), ready(3), ready(2)], 3) == Take(2)


def test_a_worker_that_had_a_system_prompt_serves_a_job_that_has_one() -> None:
    workers = [ready(1, "ann", had_system=True)]
    assert decide(a_job(system="be brief"), workers, 1) == Take(1)
    assert decide(a_job(), workers, 1) == Replace(1)


def test_at_the_capacity_the_worker_unused_for_longest_gives_way() -> None:
    assert decide(a_job(), [ready(1, "bob", used=5), ready(2, "eve", used=3), ready(3)], 2) == Replace(2)


def test_a_worker_in_use_is_never_replaced() -> None:
    busy = [replace(ready(1, "bob"), phase=Phase.BUSY), replace(ready(2, "eve"), phase=Phase.BOOTING)]
    assert decide(a_job(), busy, 2) == Wait()


def test_a_spare_is_not_waited_behind_for_an_own_worker_that_recovers() -> None:
    recovering = replace(ready(1, "ann"), phase=Phase.RECOVERING)
    assert decide(a_job(), [recovering, ready(2)], 2) == Take(2)


def test_an_own_worker_that_recovers_is_waited_for_rather_than_another_replaced() -> None:
    recovering = replace(ready(1, "ann"), phase=Phase.RECOVERING)
    assert decide(a_job(), [recovering, ready(2, "bob")], 2) == Wait()


def test_while_nothing_is_up_a_job_waits() -> None:
    assert decide(a_job(), [], 1) == Wait()
    assert decide(a_job(), [replace(ready(1), phase=Phase.BOOTING)], 1) == Wait()


def test_jobs_with_and_without_a_system_prompt_take_turns_without_a_replacement() -> None:
    """On two workers one is left to each kind."""
    pair = [ready(1, "ann", used=1), ready(2, "ann", had_system=True, used=2)]
    for step in range(3, 13):
        job = a_job(owner="ann", system="be brief" if step % 2 else "")
        chosen = decide(job, pair, capacity=2)
        assert isinstance(chosen, Take)
        pair = [
            replace(view, had_system=view.had_system or bool(job.system), last_used=step)
            if view.id == chosen.id
            else view
            for view in pair
        ]


def test_an_empty_worker_comes_before_one_with_a_conversation() -> None:
    held = replace(ready(1, "ann", used=9), conversation="x")
    assert decide(a_job(), [held, ready(2, "ann", used=1)], 2) == Take(2)
    assert decide(a_job(), [held, ready(2)], 2) == Take(2)


def test_the_conversation_left_alone_longest_is_given_up_first() -> None:
    held = [replace(ready(n, "ann", used=n), conversation=f"c{n}") for n in (2, 1, 3)]
    assert decide(a_job(), held, 3) == Take(1)


@pytest.mark.promise("conversations.prefix")
def test_a_job_goes_on_where_its_conversation_is() -> None:
    job = a_job(user("a"), assistant("b"), user("c"))
    here = replace(ready(1, "ann"), conversation=beginnings(job)[-1])
    assert decide(job, [ready(2, "ann", used=9), here], 2) == Take(1)
    assert decide(job, [ready(2, "ann"), replace(here, phase=Phase.RECOVERING)], 2) == Wait()
    assert decide(job, [ready(2, "ann"), replace(here, phase=Phase.BUSY)], 2) == Take(2)


def test_a_question_asked_again_goes_where_it_was_answered() -> None:
    job = a_job(user("a"), assistant("b"), user("c"))
    again = replace(ready(1, "ann"), conversation="with the answer", before_newest=beginnings(job)[-1])
    assert decide(job, [ready(2, "ann", used=9), again], 2) == Take(1)


def test_two_beginnings_alike_do_not_count_as_one_conversation() -> None:
    job = a_job(user("a"))
    alike = replace(ready(1, "ann"), conversation="x", before_newest=beginnings(job)[-1])
    assert decide(job, [alike, ready(2, "ann")], 2) == Take(2)
