from dataclasses import dataclass

from workers.core.frozen import with_changes


@dataclass(frozen=True)
class Point:
    x: int
    y: int


def test_returns_the_instance_itself_if_nothing_changes() -> None:
    point = Point(1, 2)

    assert with_changes(point, x=1, y=2) is point


def test_returns_a_changed_copy() -> None:
    point = Point(1, 2)

    assert with_changes(point, x=1, y=3) == Point(1, 3)
    assert point == Point(1, 2)
