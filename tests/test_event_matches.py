"""Every `match` over events ends in `assert_never`, so that mypy names each module that must handle a new event."""

import ast
from collections.abc import Set
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def find_open_matches(tree: ast.AST, event_names: Set[str]) -> list[int]:
    """Return the lines of the matches over events that do not end in `case _: assert_never(…)`."""
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Match) and _names_event(node, event_names) and not _ends_in_assert_never(node)
    ]


def _names_event(match: ast.Match, event_names: Set[str]) -> bool:
    patterns = (node for case in match.cases for node in ast.walk(case.pattern))
    return any(
        isinstance(node, ast.MatchClass) and ast.unparse(node.cls).rpartition(".")[2] in event_names
        for node in patterns
    )


def _ends_in_assert_never(match: ast.Match) -> bool:
    match match.cases[-1]:
        case ast.match_case(
            ast.MatchAs(pattern=None), None, [ast.Expr(ast.Call(ast.Name("assert_never"), [ast.Name()], []))]
        ):
            return True
        case _:
            return False


def read_event_names() -> frozenset[str]:
    events = ast.parse((ROOT / "workers/core/events.py").read_text())
    return frozenset(node.name for node in events.body if isinstance(node, ast.ClassDef)) - {"TokenUsage"}


def test_every_match_over_events_ends_in_assert_never() -> None:
    event_names = read_event_names()
    found = {
        str(path.relative_to(ROOT)): lines
        for package in ("claude_gateway", "workers", "bench")
        for path in sorted((ROOT / package).rglob("*.py"))
        if (lines := find_open_matches(ast.parse(path.read_text()), event_names))
    }

    assert found == {}
    assert {"Started", "TextDelta", "Finished"} <= event_names


@pytest.mark.parametrize(
    ("last_case", "expected"),
    [
        ("case _: assert_never(event)", []),
        ("case unreachable: assert_never(unreachable)", []),
        ("case _: pass", [1]),
        ("case _ if is_known: assert_never(event)", [1]),
        ("case Started(): pass", [1]),
    ],
)
def test_finds_match_over_events_without_assert_never(last_case: str, expected: list[int]) -> None:
    match_over_events = f"match event:\n    case Finished() | StreamReset(): pass\n    {last_case}"
    match_over_blocks = "match block:\n    case Text(): pass"

    assert find_open_matches(ast.parse(match_over_events), {"Finished", "Started"}) == expected
    assert find_open_matches(ast.parse(match_over_blocks), {"Finished", "Started"}) == []
