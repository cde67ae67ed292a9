"""The list of promises and the tests that keep them, held together both ways."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

TESTS = Path(__file__).parent
LIST = TESTS / "promises.md"


def problems(promises: Mapping[str, str], kept: Mapping[str, frozenset[str]]) -> list[str]:
    """Where a list (promise to its test) and the tests (each to the promises it is marked with) disagree."""
    marked = {promise for marks in kept.values() for promise in marks}
    return sorted(
        [
            *(f"{promise}: there is no test {test}" for promise, test in promises.items() if test not in kept),
            *(
                f"{promise}: {test} does not carry it"
                for promise, test in promises.items()
                if test in kept and promise not in kept[test]
            ),
            *(f"{promise}: marked but not listed" for promise in marked - promises.keys()),
        ]
    )


def listed() -> dict[str, str]:
    """The table, promise to test. A promise listed twice fails."""
    rows = [line.strip("|").split("|") for line in LIST.read_text().splitlines() if line.startswith("|")][2:]
    promises = {promise.strip(): test.strip() for promise, _, test in rows}
    assert len(promises) == len(rows)
    return promises


def marked_tests() -> dict[str, frozenset[str]]:
    """Every test function, as `folder/test_module.py::test_name`, with the ids it is marked with."""
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


def test_every_promise_is_kept_by_its_test_and_every_marked_test_keeps_a_listed_promise() -> None:
    assert problems(listed(), marked_tests()) == []


def test_the_list_is_one_page() -> None:
    assert 30 <= len(listed()) <= 240


def test_a_promise_whose_test_is_gone_is_named() -> None:
    assert problems({"a": "test_x.py::test_x"}, {}) == ["a: there is no test test_x.py::test_x"]


def test_a_promise_whose_test_lost_its_mark_is_named() -> None:
    kept = {"test_x.py::test_x": frozenset({"b"}), "test_y.py::test_y": frozenset({"b"})}

    assert problems({"a": "test_x.py::test_x", "b": "test_y.py::test_y"}, kept) == [
        "a: test_x.py::test_x does not carry it"
    ]


def test_a_mark_that_is_not_listed_is_named() -> None:
    assert problems({}, {"test_x.py::test_x": frozenset({"a"})}) == ["a: marked but not listed"]
