from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.scheduling.fair_queue import FairQueue

keys = st.sampled_from("abc")


def build_queue(pushed_keys: list[str]) -> FairQueue[tuple[str, int]]:
    """Build a queue of items that consist of their key and their index."""
    queue: FairQueue[tuple[str, int]] = FairQueue()
    for index, key in enumerate(pushed_keys):
        queue.push(key, (key, index))
    return queue


def pop_all(queue: FairQueue[tuple[str, int]]) -> list[tuple[str, int]]:
    return [queue.pop() for _ in range(len(queue))]


def test_a_key_with_many_items_delays_another_key_by_one_item() -> None:
    queue = build_queue(["a"] * 1000 + ["b"])
    assert [queue.pop()[0] for _ in range(3)] == ["a", "b", "a"]


@given(st.lists(keys))
def test_serves_the_items_of_one_key_in_order_of_arrival(pushed_keys: list[str]) -> None:
    indexes_by_key = defaultdict(list)
    for key, index in pop_all(build_queue(pushed_keys)):
        indexes_by_key[key].append(index)
    assert all(key_indexes == sorted(key_indexes) for key_indexes in indexes_by_key.values())
    assert sum(map(len, indexes_by_key.values())) == len(pushed_keys)


@given(st.lists(keys | st.none()))
def test_waiting_key_is_served_before_another_key_is_served_twice(steps: list[str | None]) -> None:
    """Push and pop (None) in any order: between two items of one key, every waiting key was served once."""
    queue: FairQueue[str] = FairQueue()
    waiting: dict[str, int] = defaultdict(int)
    served_meanwhile: dict[str, list[str]] = {}
    for step in steps:
        if step is not None:
            queue.push(step, step)
            waiting[step] += 1
            served_meanwhile.setdefault(step, [])
        elif len(queue):
            served = queue.pop()
            waiting[served] -= 1
            del served_meanwhile[served]
            for seen in served_meanwhile.values():
                assert served not in seen
                seen.append(served)
            if waiting[served]:
                served_meanwhile[served] = []


@given(st.lists(keys, min_size=1), st.data())
def test_removal_keeps_the_order_of_the_other_items(pushed_keys: list[str], data: st.DataObject) -> None:
    queue = build_queue(pushed_keys)
    index = data.draw(st.integers(0, len(pushed_keys) - 1))
    removed = (pushed_keys[index], index)
    assert queue.remove(pushed_keys[index], removed)
    assert not queue.remove(pushed_keys[index], removed)
    assert len(queue) == len(pushed_keys) - 1
    remaining = pop_all(queue)
    assert sorted(remaining, key=lambda item: item[1]) == [(k, i) for i, k in enumerate(pushed_keys) if i != index]
    indexes_of_key = [n for key, n in remaining if key == removed[0]]
    assert indexes_of_key == sorted(indexes_of_key)


def test_does_not_serve_a_key_whose_only_item_was_removed() -> None:
    queue = build_queue(["a", "b"])
    queue.remove("a", ("a", 0))
    assert queue.pop() == ("b", 1)


def test_removes_nothing_for_an_unknown_key() -> None:
    assert not build_queue(["a"]).remove("b", ("a", 0))


def test_pop_from_an_empty_queue_raises() -> None:
    with pytest.raises(IndexError):
        FairQueue[str]().pop()


def always_evictable(_: object) -> bool:
    return True


def test_evicts_the_newest_item_of_the_key_with_most_items_for_a_key_with_fewer() -> None:
    queue = build_queue(["a", "b", "a", "a"])
    assert queue.evict_newest("c", lambda _: False) is None  # the newest is not evictable, so no older one is
    assert queue.evict_newest("c", always_evictable) == ("a", 3)
    assert queue.evict_newest("b", always_evictable) is None  # two each then: no key has more than another
    assert queue.evict_newest("a", always_evictable) is None
    assert pop_all(queue) == [("a", 0), ("b", 1), ("a", 2)]


def test_evicts_nothing_from_an_empty_queue() -> None:
    assert build_queue([]).evict_newest("a", always_evictable) is None
