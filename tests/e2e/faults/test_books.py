"""What holds the books against the callers finds what is wrong with them."""

import random
from itertools import islice

import pytest

from tests.e2e.faults.books import Line, differences
from tests.e2e.faults.callers import BROKEN_OFF, End, Outcome, Sight
from tests.e2e.faults.plan import Plan, ask
from tests.e2e.faults.record import Record

MANY = 20_000  # more than 20 minutes of a soak are
WHOLE = Sight("a.1", End.WHOLE, 200, tokens=(5, 2))
CUT = Sight("a.1", End.FAILED, 200, BROKEN_OFF.decode())
LEFT = Sight("a.1", End.LEFT, 200)
TURNED_AWAY = Sight("a.1", End.REFUSED, 429, "queue_full")


def line(result: str, *, id_: str = "a.1", attempts: int = 1, tokens: tuple[int, int] = (5, 2)) -> Line:
    return Line(id_, result, attempts, tokens)


@pytest.mark.parametrize(
    ("sight", "faulty", "lines"),
    [
        (WHOLE, False, [line("ok")]),
        (WHOLE, True, [line("ok", attempts=2, tokens=(10, 3))]),
        (CUT, True, [line("cut")]),
        (LEFT, False, [line("left")]),
        (LEFT, False, [line("ok")]),
        (LEFT, True, [line("worker_died")]),
        (TURNED_AWAY, False, []),
    ],
)
def test_books_that_say_what_callers_saw_pass(sight: Sight, faulty: bool, lines: list[Line]) -> None:
    assert differences({"a.1": (sight, faulty)}, lines) == []


@pytest.mark.parametrize(
    ("sight", "lines"),
    [
        (WHOLE, []),
        (WHOLE, [line("ok"), line("ok")]),
        (WHOLE, [line("left")]),
        (WHOLE, [line("ok", tokens=(5, 3))]),
        (WHOLE, [line("ok"), line("ok", id_="b.1")]),
        (CUT, [line("left")]),
        (LEFT, [line("begun")]),
        (LEFT, [line("worker_died")]),
        (TURNED_AWAY, [line("queue_full")]),
    ],
)
def test_each_other_line_is_a_difference(sight: Sight, lines: list[Line]) -> None:
    assert len(differences({"a.1": (sight, False)}, lines)) == 1


def a_session(*ends: End) -> tuple[Record, list[tuple[str, str]]]:
    """A record of a session of so many turns, and all of it as it could be remembered."""
    record, asks = Record(), [ask(random.Random(1), f"t1x0{number}", session="t1x0") for number in range(len(ends))]
    for each, end in zip(asks, ends, strict=True):
        record.asked[each.token] = 1
        record.add(Outcome(each, (Sight(f"{each.token}.1", end, 200),), 0.1))
    turns = [turn for each in asks for turn in (("user", each.messages[-1]["content"]), ("assistant", each.answer))]
    return record, turns


def test_a_session_holds_what_was_answered_and_maybe_the_whole_of_what_was_left() -> None:
    ends = (End.WHOLE, End.LEFT, End.FAILED)
    for kept in (4, 2):
        record, turns = a_session(*ends)
        record.close_session("t1x0", kept, turns[:kept])
        assert record.wrong == []


@pytest.mark.parametrize("held", [slice(0), slice(1), slice(0, 3), slice(0, 6), slice(2, 4)])
def test_a_session_with_a_turn_too_few_too_many_or_a_half_one_is_wrong(held: slice) -> None:
    record, turns = a_session(End.WHOLE, End.WHOLE, End.FAILED)
    record.close_session("t1x0", 4, turns[held])
    assert len(record.wrong) == 1


def test_a_count_of_messages_that_is_not_what_is_held_is_wrong() -> None:
    record, turns = a_session(End.WHOLE)
    record.close_session("t1x0", 3, turns)
    assert len(record.wrong) == 1


def test_no_two_requests_of_a_plan_have_the_same_token() -> None:
    tokens = [each.token for errand in islice(iter(Plan(2026)), MANY) for each in errand]
    assert len(set(tokens)) == len(tokens) > MANY
