from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tests.workers.helpers import reads
from workers.events import Event, Restarted, TextDelta, ThinkingDelta
from workers.shown import Shown

Delta = TextDelta | ThinkingDelta
# Two letters: answers that agree for a while, then part, then agree again are the interesting ones.
letters = st.text("ab", min_size=1, max_size=4)
deltas = st.lists(st.builds(TextDelta, letters) | st.builds(ThinkingDelta, letters), max_size=6)


def shown(*answers: list[Delta]) -> list[Event]:
    """What is passed on when the upstream gives each of the answers, the later ones from the start."""
    relay = Shown()
    events: list[Event] = []
    for number, answer in enumerate(answers):
        if number:
            relay.rewind()
        for delta in answer:
            events += relay.add(delta)
    return events + relay.close()


@given(st.lists(deltas, min_size=1, max_size=4))
def test_however_the_answers_are_cut_the_reader_ends_up_with_the_last_one(answers: list[list[Delta]]) -> None:
    assert reads(shown(*answers)) == reads(answers[-1])


@given(deltas, st.data())
def test_an_answer_that_goes_on_from_the_broken_one_is_never_restarted(final: list[Delta], data: st.DataObject) -> None:
    text, thinking = reads(final)
    broken = [ThinkingDelta(part) for part in pieces(thinking[: data.draw(st.integers(0, len(thinking)))], data)] + [
        TextDelta(part) for part in pieces(text[: data.draw(st.integers(0, len(text)))], data)
    ]
    assert Restarted() not in shown(broken, final)


@given(deltas, deltas)
def test_an_answer_that_differs_restarts_the_reader_once(first: list[Delta], second: list[Delta]) -> None:
    goes_on = all(new.startswith(old) for old, new in zip(reads(first), reads(second), strict=True))
    assert shown(first, second).count(Restarted()) == (0 if goes_on else 1)


@given(st.lists(deltas, min_size=1, max_size=3))
def test_no_delta_is_empty(answers: list[list[Delta]]) -> None:
    assert all(event.text for event in shown(*answers) if not isinstance(event, Restarted))


def test_the_part_that_repeats_is_swallowed_and_the_rest_passed_on() -> None:
    assert shown([TextDelta("one ")], [TextDelta("on"), TextDelta("e two")]) == [TextDelta("one "), TextDelta("two")]


def test_at_the_first_difference_everything_comes_again() -> None:
    events = shown([TextDelta("one two")], [TextDelta("one "), TextDelta("three")])
    assert events == [TextDelta("one two"), Restarted(), TextDelta("one "), TextDelta("three")]


def test_an_answer_that_ends_before_the_broken_one_did_takes_its_tail_back() -> None:
    assert shown([TextDelta("one two")], [TextDelta("one")]) == [TextDelta("one two"), Restarted(), TextDelta("one")]


def pieces(text: str, data: st.DataObject) -> list[str]:
    """The text, cut anywhere into parts that are not empty."""
    cuts = sorted({0, len(text), *data.draw(st.lists(st.integers(0, len(text)), max_size=3))})
    return [text[start:end] for start, end in pairwise(cuts)]
