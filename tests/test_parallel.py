"""Tests of the distribution of tests over processes."""

from types import SimpleNamespace
from typing import Any

from tests.parallel import find_group, sort_slow_first


def test_tests_of_a_module_are_one_group() -> None:
    assert find_group("tests/e2e/test_chat.py::test_streams[a::b]") == "tests/e2e/test_chat.py"


def test_tests_that_share_an_installed_gateway_are_one_group() -> None:
    assert find_group("tests/systemd/test_unit.py::test_one") == find_group("tests/systemd/test_make.py::test_two")


def test_slow_folders_come_first_and_the_order_of_groups_stays() -> None:
    names = ["tests/b.py::2", "tests/e2e/z.py::1", "tests/a.py::1", "tests/b.py::1", "tests/e2e/y.py::1"]
    items: list[Any] = [SimpleNamespace(nodeid=name) for name in names]
    sort_slow_first(items)
    assert [item.nodeid for item in items] == [
        "tests/e2e/z.py::1",
        "tests/e2e/y.py::1",
        "tests/b.py::2",
        "tests/b.py::1",
        "tests/a.py::1",
    ]
