from collections.abc import Iterable
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from workers.core.events import BlockEnded, BlockEvent, BlockStarted, Event, StreamReset, TextDelta, ThinkingDelta
from workers.core.job import Text, ThinkingBlock
from workers.parsing.replay_filter import ReplayFilter

# With two letters, replies often agree for a while, differ and agree again, which are the interesting cases.
letters = st.text("ab", min_size=1, max_size=4)
# A reply is a list of blocks; a block is its type of delta and its text.
replies = st.lists(st.tuples(st.sampled_from([TextDelta, ThinkingDelta]), letters), max_size=3)


def split_reply(reply: Iterable[tuple[type[TextDelta | ThinkingDelta], str]], data: st.DataObject) -> list[BlockEvent]:
    """Return a reply as a stream of events, with each text split at any positions."""
    block_events: list[BlockEvent] = []
    for delta_type, text in reply:
        block = Text("") if delta_type is TextDelta else ThinkingBlock("", "")
        block_events += [BlockStarted(block), *(delta_type(part) for part in split_text(text, data)), BlockEnded()]
    return block_events


def split_text(text: str, data: st.DataObject) -> list[str]:
    """Split a text at any positions into parts that are not empty."""
    positions = sorted({0, len(text), *data.draw(st.lists(st.integers(0, len(text)), max_size=3))})
    return [text[start:end] for start, end in pairwise(positions)]


def filter_replies(*replies: list[BlockEvent]) -> list[Event]:
    """Return the events that are passed on when the upstream sends one reply after another from the start."""
    replay_filter = ReplayFilter()
    events: list[Event] = []
    for index, reply in enumerate(replies):
        if index:
            replay_filter.start_replay()
        for block_event in reply:
            events += replay_filter.feed(block_event)
    return events + replay_filter.finish()


def read_final_reply(events: Iterable[Event]) -> list[Event]:
    """Return the final reply of a reader that handles `StreamReset`, with adjacent deltas joined."""
    result: list[Event] = []
    for event in events:
        match result, event:
            case _, StreamReset():
                result.clear()
            case [*_, TextDelta(before)], TextDelta(text):
                result[-1] = TextDelta(before + text)
            case [*_, ThinkingDelta(before)], ThinkingDelta(text):
                result[-1] = ThinkingDelta(before + text)
            case _:
                result.append(event)
    return result


@given(st.lists(replies, min_size=1, max_size=4), st.data())
def test_reader_gets_the_last_reply_however_the_replies_are_split(
    drawn_replies: list[list[tuple[type[TextDelta | ThinkingDelta], str]]], data: st.DataObject
) -> None:
    streams = [split_reply(reply, data) for reply in drawn_replies]
    broken = [stream[: data.draw(st.integers(0, len(stream)))] for stream in streams[:-1]]
    assert read_final_reply(filter_replies(*broken, streams[-1])) == read_final_reply(streams[-1])


@given(replies, st.data())
def test_reply_that_repeats_and_continues_the_broken_one_is_never_reset(
    reply: list[tuple[type[TextDelta | ThinkingDelta], str]], data: st.DataObject
) -> None:
    first = split_reply(reply, data)
    broken = first[: data.draw(st.integers(0, len(first)))]
    events = filter_replies(broken, split_reply(reply, data))
    assert StreamReset() not in events
    assert read_final_reply(events) == read_final_reply(first)


@given(st.lists(replies, min_size=2, max_size=2), st.data())
def test_resets_once_if_the_second_reply_differs_and_never_otherwise(
    pair: list[list[tuple[type[TextDelta | ThinkingDelta], str]]], data: st.DataObject
) -> None:
    first, second = (split_reply(reply, data) for reply in pair)
    assert filter_replies(first, second).count(StreamReset()) == (
        0 if read_final_reply(second)[: len(read_final_reply(first))] == read_final_reply(first) else 1
    )


def test_drops_the_repeated_part_and_passes_on_the_rest() -> None:
    assert filter_replies([TextDelta("one ")], [TextDelta("on"), TextDelta("e two")]) == [
        TextDelta("one "),
        TextDelta("two"),
    ]


def test_resets_and_repeats_the_reply_at_the_first_difference() -> None:
    events = filter_replies([TextDelta("one two")], [TextDelta("one "), TextDelta("three")])
    assert events == [TextDelta("one two"), StreamReset(), TextDelta("one "), TextDelta("three")]


def test_resets_for_a_reply_that_is_shorter_than_the_broken_one() -> None:
    assert filter_replies([TextDelta("one two")], [TextDelta("one")]) == [
        TextDelta("one two"),
        StreamReset(),
        TextDelta("one"),
    ]
