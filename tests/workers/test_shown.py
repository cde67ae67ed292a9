from collections.abc import Iterable
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from workers.events import BlockEnded, BlockStarted, Event, Piece, Restarted, TextDelta, ThinkingDelta
from workers.job import Text, Thought
from workers.shown import Shown

# Two letters: answers that agree for a while, then part, then agree again are the interesting ones.
letters = st.text("ab", min_size=1, max_size=4)
# A block is its kind and its text; an answer is its blocks.
answers = st.lists(st.tuples(st.sampled_from([TextDelta, ThinkingDelta]), letters), max_size=3)


def pieces_of(answer: Iterable[tuple[type[TextDelta | ThinkingDelta], str]], data: st.DataObject) -> list[Piece]:
    """The answer as a stream of pieces, each block's text cut anywhere."""
    pieces: list[Piece] = []
    for kind, text in answer:
        block = Text("") if kind is TextDelta else Thought("", "")
        pieces += [BlockStarted(block), *(kind(part) for part in cut(text, data)), BlockEnded()]
    return pieces


def cut(text: str, data: st.DataObject) -> list[str]:
    """The text, cut anywhere into parts that are not empty."""
    cuts = sorted({0, len(text), *data.draw(st.lists(st.integers(0, len(text)), max_size=3))})
    return [text[start:end] for start, end in pairwise(cuts)]


def shown(*answers: list[Piece]) -> list[Event]:
    """What is passed on when the upstream gives each of the answers, the later ones from the start."""
    relay = Shown()
    events: list[Event] = []
    for number, answer in enumerate(answers):
        if number:
            relay.rewind()
        for piece in answer:
            events += relay.add(piece)
    return events + relay.close()


def kept(events: Iterable[Event]) -> list[Event]:
    """What a reader that honours `Restarted` ends up with, neighbouring deltas joined."""
    whole: list[Event] = []
    for event in events:
        match whole, event:
            case _, Restarted():
                whole.clear()
            case [*_, TextDelta(before)], TextDelta(text):
                whole[-1] = TextDelta(before + text)
            case [*_, ThinkingDelta(before)], ThinkingDelta(text):
                whole[-1] = ThinkingDelta(before + text)
            case _:
                whole.append(event)
    return whole


@given(st.lists(answers, min_size=1, max_size=4), st.data())
def test_however_the_answers_are_cut_the_reader_ends_up_with_the_last_one(
    given_answers: list[list[tuple[type[TextDelta | ThinkingDelta], str]]], data: st.DataObject
) -> None:
    streams = [pieces_of(answer, data) for answer in given_answers]
    broken = [stream[: data.draw(st.integers(0, len(stream)))] for stream in streams[:-1]]
    assert kept(shown(*broken, streams[-1])) == kept(streams[-1])


@given(answers, st.data())
def test_an_answer_that_goes_on_from_the_broken_one_is_never_restarted(
    answer: list[tuple[type[TextDelta | ThinkingDelta], str]], data: st.DataObject
) -> None:
    first = pieces_of(answer, data)
    broken = first[: data.draw(st.integers(0, len(first)))]
    events = shown(broken, pieces_of(answer, data))
    assert Restarted() not in events
    assert kept(events) == kept(first)


@given(st.lists(answers, min_size=2, max_size=2), st.data())
def test_nothing_is_said_twice_between_two_restarts(
    pair: list[list[tuple[type[TextDelta | ThinkingDelta], str]]], data: st.DataObject
) -> None:
    first, second = (pieces_of(answer, data) for answer in pair)
    assert shown(first, second).count(Restarted()) == (0 if kept(second)[: len(kept(first))] == kept(first) else 1)


def test_the_part_that_repeats_is_swallowed_and_the_rest_passed_on() -> None:
    assert shown([TextDelta("one ")], [TextDelta("on"), TextDelta("e two")]) == [TextDelta("one "), TextDelta("two")]


def test_at_the_first_difference_everything_comes_again() -> None:
    events = shown([TextDelta("one two")], [TextDelta("one "), TextDelta("three")])
    assert events == [TextDelta("one two"), Restarted(), TextDelta("one "), TextDelta("three")]


def test_an_answer_that_ends_before_the_broken_one_did_takes_its_tail_back() -> None:
    assert shown([TextDelta("one two")], [TextDelta("one")]) == [TextDelta("one two"), Restarted(), TextDelta("one")]
