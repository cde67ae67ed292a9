from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.fair_queue import FairQueue

keys = st.sampled_from("abc")


def filled(pushed: list[str]) -> FairQueue[tuple[str, int]]:
    """A queue of items that name their key and their place."""
    queue: FairQueue[tuple[str, int]] = FairQueue()
    for number, key in enumerate(pushed):
        queue.push(key, (key, number))
    return queue


def drained(queue: FairQueue[tuple[str, int]]) -> list[tuple[str, int]]:
    return [queue.pop() for _ in range(len(queue))]


def test_a_key_with_many_items_delays_another_key_by_one_item() -> None:
    queue = filled(["a"] * 1000 + ["b"])
    assert [queue.pop()[0] for _ in range(3)] == ["a", "b", "a"]


@given(st.lists(keys))
def test_within_a_key_it_is_first_come_first_served(pushed: list[str]) -> None:
    numbers = defaultdict(list)
    for key, number in drained(filled(pushed)):
        numbers[key].append(number)
    assert all(of_key == sorted(of_key) for of_key in numbers.values())
    assert sum(map(len, numbers.values())) == len(pushed)


@given(st.lists(keys | st.none()))
def test_a_key_that_waits_gets_its_turn_before_any_other_gets_two(steps: list[str | None]) -> None:
    """Pushes and pops (None) in any order: between two items of one key, every key that waited had one."""
    queue: FairQueue[str] = FairQueue()
    waiting: dict[str, int] = defaultdict(int)
    passed_over: dict[str, list[str]] = {}
    for step in steps:
        if step is not None:
            queue.push(step, step)
            waiting[step] += 1
            passed_over.setdefault(step, [])
        elif len(queue):
            served = queue.pop()
            waiting[served] -= 1
            del passed_over[served]
            for seen in passed_over.values():
                assert served not in seen
                seen.append(served)
            if waiting[served]:
                passed_over[served] = []


@given(st.lists(keys, min_size=1), st.data())
def test_an_item_taken_out_leaves_the_order_of_the_others_in_its_lane(pushed: list[str], data: st.DataObject) -> None:
    queue = filled(pushed)
    number = data.draw(st.integers(0, len(pushed) - 1))
    gone = (pushed[number], number)
    assert queue.remove(pushed[number], gone)
    assert not queue.remove(pushed[number], gone)
    assert len(queue) == len(pushed) - 1
    left = drained(queue)
    assert sorted(left, key=lambda item: item[1]) == [(k, n) for n, k in enumerate(pushed) if n != number]
    of_lane = [n for key, n in left if key == gone[0]]
    assert of_lane == sorted(of_lane)


def test_a_lane_emptied_by_removal_gets_no_turn() -> None:
    queue = filled(["a", "b"])
    queue.remove("a", ("a", 0))
    assert queue.pop() == ("b", 1)


def test_nothing_is_removed_for_a_key_that_never_came() -> None:
    assert not filled(["a"]).remove("b", ("a", 0))


def test_popping_an_empty_queue_is_an_error() -> None:
    with pytest.raises(IndexError):
        FairQueue[str]().pop()


def anybody(_: object) -> bool:
    return True


def test_the_newest_of_the_key_with_most_gives_way_to_one_that_would_have_fewer() -> None:
    queue = filled(["a", "b", "a", "a"])
    assert queue.crowd_out("c", lambda _: False) is None  # the newest may not go, so no older one may
    assert queue.crowd_out("c", anybody) == ("a", 3)
    assert queue.crowd_out("b", anybody) is None  # two each then: nobody has more than another
    assert queue.crowd_out("a", anybody) is None
    assert drained(queue) == [("a", 0), ("b", 1), ("a", 2)]


def test_nobody_gives_way_in_an_empty_queue() -> None:
    assert filled([]).crowd_out("a", anybody) is None
