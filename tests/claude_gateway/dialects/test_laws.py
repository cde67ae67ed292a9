"""What holds for every dialect, whatever it looks like on the wire."""

from itertools import pairwise
from typing import Any, get_args

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gateway.errors import ApiError, from_worker
from tests.claude_gateway.dialects.adapters import DIALECTS, Dialect
from workers.errors import ErrorKind, WorkerError
from workers.events import Event, Finished, Restarted, Started, StopReason, TextDelta, ThinkingDelta, Usage

every_dialect = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)

STARTED = Started("claude-test")
counts = st.integers(0, 10**9)
usages = st.builds(Usage, counts, counts, counts, counts)
ends = st.builds(Finished, st.sampled_from(get_args(StopReason)), usages)
deltas = st.lists(st.builds(TextDelta, st.text()) | st.builds(ThinkingDelta, st.text()), max_size=8)
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
# Names that mean something to the classes behind a request are the likeliest to hurt.
names = words | st.sampled_from(["unknown", "model_extra", "model_config", "copy", "json", "__class__", "self", "root"])


def answer(*middle: Event, end: Finished) -> list[Event]:
    return [STARTED, *middle, end]


@every_dialect
@pytest.mark.promise("stream.same-as-body")
@given(middle=deltas, end=ends)
def test_the_stream_adds_up_to_the_body(dialect: Dialect, middle: list[Event], end: Finished) -> None:
    events = answer(*middle, end=end)

    assert dialect.read_stream(dialect.stream(events, usage=True)) == dialect.read_body(dialect.body(events))


@every_dialect
@given(text=st.text(max_size=40), cuts=st.lists(st.integers(0, 40)), end=ends)
def test_the_body_does_not_depend_on_how_the_text_was_cut(
    dialect: Dialect, text: str, cuts: list[int], end: Finished
) -> None:
    places = sorted({0, *(cut for cut in cuts if cut < len(text)), len(text)})
    pieces = [TextDelta(text[a:b]) for a, b in pairwise(places)]

    cut = dialect.body(answer(*pieces, end=end))

    assert cut == dialect.body(answer(TextDelta(text), end=end))
    assert dialect.read_body(cut).text == text


@every_dialect
@pytest.mark.promise("stream.one-finish")
@given(middle=deltas, end=ends, usage=st.booleans())
def test_a_stream_ends_once_with_its_reason_behind_every_delta(
    dialect: Dialect, middle: list[Event], end: Finished, usage: bool
) -> None:
    assert dialect.read_stream(dialect.stream(answer(*middle, end=end), usage=usage)).finish


@every_dialect
@pytest.mark.promise("stream.usage-when-asked")
@given(middle=deltas, end=ends)
def test_a_stream_tells_the_usage_only_when_asked(dialect: Dialect, middle: list[Event], end: Finished) -> None:
    events = answer(*middle, end=end)
    asked, unasked = dialect.stream(events, usage=True), dialect.stream(events, usage=False)

    assert dialect.read_stream(asked).usage == dialect.read_body(dialect.body(events)).usage
    assert dialect.read_stream(unasked).usage is None
    assert not any("usage" in orjson.loads(one) for one in unasked[:-1])


@every_dialect
@pytest.mark.parametrize("usage", [True, False])
def test_the_request_decides_about_the_usage(dialect: Dialect, usage: bool) -> None:
    assert dialect.parse(dialect.request(usage=usage)).include_usage is usage


@every_dialect
def test_a_stop_reason_nobody_knows_yet_still_ends_the_answer(dialect: Dialect) -> None:
    events = answer(TextDelta("hi"), end=Finished("a_reason_of_tomorrow", Usage()))  # type: ignore[arg-type]

    assert dialect.read_stream(dialect.stream(events, usage=False)).finish
    assert dialect.read_body(dialect.body(events)).text == "hi"


@every_dialect
@pytest.mark.promise("stream.no-second-answer")
@given(before=deltas.filter(bool), after=deltas, end=ends)
def test_a_restart_ends_a_stream_in_an_error(
    dialect: Dialect, before: list[Event], after: list[Event], end: Finished
) -> None:
    with pytest.raises(ApiError) as raised:
        dialect.stream([STARTED, *before, Restarted(), *after, end], usage=False)

    assert raised.value.status == 502


@every_dialect
@given(before=deltas, after=deltas, end=ends)
def test_a_restart_voids_what_a_body_had_gathered(
    dialect: Dialect, before: list[Event], after: list[Event], end: Finished
) -> None:
    restarted = dialect.body([STARTED, *before, Restarted(), *after, end])

    assert restarted == dialect.body(answer(*after, end=end))


@every_dialect
@given(middle=deltas)
def test_events_without_an_end_make_no_body(dialect: Dialect, middle: list[Event]) -> None:
    with pytest.raises(ApiError):
        dialect.body([STARTED, *middle])


@every_dialect
@pytest.mark.promise("errors.envelope")
@pytest.mark.parametrize("kind", ErrorKind)
def test_every_kind_of_failure_has_a_status_and_a_valid_envelope(dialect: Dialect, kind: ErrorKind) -> None:
    error = from_worker(WorkerError(kind, "What happened.", detail="/home/someone/secret"))
    envelope = dialect.error(error)

    assert 400 <= error.status < 600
    assert dialect.is_error(envelope)
    assert "What happened." in str(envelope)
    assert "secret" not in str(envelope)


@every_dialect
@pytest.mark.promise("chat.warnings")
@given(extra=st.dictionaries(names, json_values, max_size=4))
def test_a_field_nobody_knows_changes_no_job_and_is_named(dialect: Dialect, extra: dict[str, Any]) -> None:
    unknown = {name: value for name, value in extra.items() if name not in dialect.fields}
    parsed = dialect.parse({**dialect.request(), **unknown})
    asking = [n for n, value in unknown.items() if value is not None and value is not False and value not in ([], {})]

    assert parsed.job == dialect.parse(dialect.request()).job
    assert list(parsed.warnings) == [f"{name}: unknown parameter" for name in asking]
