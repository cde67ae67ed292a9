"""The list of promises agrees with the tests that check them."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

TESTS = Path(__file__).parent
LIST = TESTS / "promises.md"


def find_problems(promises: Mapping[str, str], tests: Mapping[str, frozenset[str]]) -> list[str]:
    """Return every difference between the list and the marks of the tests.

    Args:
        promises: The test of each promise.
        tests: The promises with which each test is marked.
    """
    marked = {promise for marks in tests.values() for promise in marks}
    return sorted(
        [
            *(f"{promise}: there is no test {test}" for promise, test in promises.items() if test not in tests),
            *(
                f"{promise}: {test} is not marked with it"
                for promise, test in promises.items()
                if test in tests and promise not in tests[test]
            ),
            *(f"{promise}: marked but not listed" for promise in marked - promises.keys()),
        ]
    )


def read_promises() -> dict[str, str]:
    """Return the test of each promise in the table, and fail if a promise is listed twice."""
    rows = [line.strip("|").split("|") for line in LIST.read_text().splitlines() if line.startswith("|")][2:]
    promises = {promise.strip(): test.strip() for promise, _, test in rows}
    assert len(promises) == len(rows)
    return promises


def read_marked_tests() -> dict[str, frozenset[str]]:
    """Return the promises of every test function, by `folder/test_module.py::test_name`."""
    return {
        f"{path.relative_to(TESTS).as_posix()}::{node.name}": frozenset(_marks(node))
        for path in sorted(TESTS.rglob("test_*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


def _marks(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.promise":
            yield ast.literal_eval(decorator.args[0])


def test_every_promise_has_its_marked_test_and_every_mark_is_listed() -> None:
    assert find_problems(read_promises(), read_marked_tests()) == []


def test_number_of_promises_stays_between_its_limits() -> None:
    assert 30 <= len(read_promises()) <= 240


def test_finds_a_promise_whose_test_does_not_exist() -> None:
    assert find_problems({"a": "test_x.py::test_x"}, {}) == ["a: there is no test test_x.py::test_x"]


def test_finds_a_promise_whose_test_lacks_the_mark() -> None:
    tests = {"test_x.py::test_x": frozenset({"b"}), "test_y.py::test_y": frozenset({"b"})}

    assert find_problems({"a": "test_x.py::test_x", "b": "test_y.py::test_y"}, tests) == [
        "a: test_x.py::test_x is not marked with it"
    ]


def test_finds_a_mark_that_is_not_listed() -> None:
    assert find_problems({}, {"test_x.py::test_x": frozenset({"a"})}) == ["a: marked but not listed"]
