"""What holds for every dialect, whatever it looks like on the wire."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from pydantic.alias_generators import to_camel

from claude_gateway.errors import ApiError, from_worker
from claude_gateway.reading.json_body import wrong_shape
from tests.claude_gateway.dialects.adapters import DIALECTS
from tests.claude_gateway.dialects.anything import json_values, names, spoilt
from tests.claude_gateway.dialects.event_streams import STARTED, answers, beginnings, begun, ends, pieces, said, settled
from tests.claude_gateway.dialects.face import Dialect, Json
from tests.claude_gateway.dialects.jobs import jobs
from workers.errors import ErrorKind, WorkerError
from workers.events import BlockEnded, BlockStarted, Event, Finished, Restarted, TextDelta, Usage
from workers.job import ChatJob, Text

every_dialect = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
HELLO: list[Event] = [STARTED, BlockStarted(Text("")), TextDelta("hi"), BlockEnded(), Finished("end_turn", Usage())]


def refusal(dialect: Dialect, request: Json) -> str | None:
    """What the caller is told of a request that is not taken; nothing else may be raised."""
    try:
        dialect.parse(request)
    except ValidationError as error:
        return wrong_shape(error).extra["details"][0]["field"]
    except ApiError as error:
        return error.message
    return None


@every_dialect
@pytest.mark.promise("stream.same-as-body")
@given(events=answers())
def test_the_stream_adds_up_to_the_body(dialect: Dialect, events: list[Event]) -> None:
    streamed = dialect.read_stream(dialect.stream(events, usage=True))
    whole = dialect.read_body(dialect.body(events))

    assert replace(streamed, said=settled(streamed.said)) == replace(whole, said=settled(whole.said))


@every_dialect
@given(events=answers())
def test_all_that_the_dialect_can_tell_is_told(dialect: Dialect, events: list[Event]) -> None:
    whole = dialect.read_body(dialect.body(events))

    assert settled(whole.said) == settled(dialect.can_tell(said(events)))


@every_dialect
@given(text=st.text(max_size=40), cuts=st.lists(st.integers(0, 40)), end=ends)
def test_the_body_does_not_depend_on_how_the_text_was_cut(
    dialect: Dialect, text: str, cuts: list[int], end: Finished
) -> None:
    places = sorted({0, *(cut for cut in cuts if cut < len(text)), len(text)})
    deltas = [TextDelta(text[a:b]) for a, b in pairwise(places)]

    cut, whole = (
        dialect.body([STARTED, BlockStarted(Text("")), *pieces, BlockEnded(), end])
        for pieces in (deltas, [TextDelta(text)])
    )

    assert cut == whole
    assert "".join(one.text for one in dialect.read_body(cut).said) == text


@every_dialect
@pytest.mark.promise("stream.one-finish")
@given(events=answers(), usage=st.booleans())
def test_a_stream_ends_once_with_its_reason_behind_every_block(
    dialect: Dialect, events: list[Event], usage: bool
) -> None:
    assert dialect.read_stream(dialect.stream(events, usage=usage)).finish


@every_dialect
@pytest.mark.promise("stream.blocks-closed")
@given(events=beginnings())
def test_a_stream_that_breaks_off_closes_what_is_open_and_ends_in_an_error(
    dialect: Dialect, events: list[Event]
) -> None:
    error = from_worker(WorkerError(ErrorKind.CUT, "What happened."))

    so_far, told = dialect.read_broken_stream(dialect.broken_stream(events, error))

    assert begun(so_far) == begun(dialect.told_so_far(events))
    assert dialect.is_error(told)
    assert "What happened." in str(told)


@every_dialect
@pytest.mark.promise("stream.usage-when-asked")
@given(events=answers())
def test_a_stream_tells_the_usage_as_the_body_does_to_who_asks_for_it(dialect: Dialect, events: list[Event]) -> None:
    asked, unasked = dialect.stream(events, usage=True), dialect.stream(events, usage=False)

    assert dialect.read_stream(asked).usage == dialect.read_body(dialect.body(events)).usage
    if dialect.usage_is_asked_for:
        assert dialect.read_stream(unasked).usage is None
        assert not any("usage" in orjson.loads(one) for _, one in unasked[:-1])
    else:
        assert unasked == asked


@every_dialect
@pytest.mark.parametrize("usage", [True, False])
def test_the_request_decides_about_the_usage_where_it_is_asked_for(dialect: Dialect, usage: bool) -> None:
    told = dialect.parse(dialect.request(usage=usage)).include_usage

    assert told is (usage if dialect.usage_is_asked_for else True)


@every_dialect
def test_a_stop_reason_nobody_knows_yet_ends_the_answer_as_any_other(dialect: Dialect) -> None:
    tomorrow = [*HELLO[:-1], Finished("a_reason_of_tomorrow", Usage())]  # type: ignore[arg-type]

    known, unknown = dialect.stream(HELLO), dialect.stream(tomorrow)

    assert [name for name, _ in known] == [name for name, _ in unknown]
    assert dialect.body(tomorrow).keys() == dialect.body(HELLO).keys()


@every_dialect
@pytest.mark.promise("stream.no-second-answer")
@given(before=pieces(min_blocks=1), after=answers())
def test_a_restart_ends_a_stream_in_an_error(dialect: Dialect, before: list[Event], after: list[Event]) -> None:
    with pytest.raises(ApiError) as raised:
        dialect.stream([STARTED, *before, Restarted(), *after[1:]])

    assert raised.value.status == 502


@every_dialect
@given(before=beginnings(), after=answers())
def test_a_restart_voids_what_a_body_had_gathered(dialect: Dialect, before: list[Event], after: list[Event]) -> None:
    restarted = dialect.body([STARTED, *before[1:], Restarted(), *after[1:]])

    assert restarted == dialect.body(after)


@every_dialect
@given(events=beginnings())
def test_events_without_an_end_make_no_body(dialect: Dialect, events: list[Event]) -> None:
    with pytest.raises(ApiError):
        dialect.body(events)


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
    # Google's programs write SERVICE_TIER for serviceTier, and so may a name that was drawn.
    unknown = {name: value for name, value in extra.items() if not {name, to_camel(name)} & dialect.fields}
    parsed = dialect.parse({**dialect.request(), **unknown})
    asking = [n for n, value in unknown.items() if value is not None and value is not False and value not in ([], {})]

    assert parsed.job == dialect.parse(dialect.request()).job
    assert list(parsed.warnings) == [f"{name}: unknown parameter" for name in asking]


@every_dialect
@pytest.mark.promise("errors.field-named")
@given(choice=st.data(), value=json_values)
def test_whatever_a_known_field_holds_it_is_taken_or_named(dialect: Dialect, choice: st.DataObject, value: Any) -> None:
    field = choice.draw(st.sampled_from(sorted(dialect.fields)))

    complaint = refusal(dialect, {**dialect.request(), field: value})

    assert complaint is None or field in complaint


@every_dialect
@pytest.mark.promise("errors.field-named")
@given(job=jobs(), choice=st.data())
def test_a_request_with_a_part_of_it_spoilt_is_taken_or_the_field_named(
    dialect: Dialect, job: ChatJob, choice: st.DataObject
) -> None:
    request = choice.draw(spoilt(dialect.render(dialect.can_ask(job))))

    complaint = refusal(dialect, request)

    assert complaint is None or any(field in complaint for field in dialect.fields)


@every_dialect
@pytest.mark.promise("dialects.nothing-lost")
@given(job=jobs())
def test_a_job_written_as_a_request_and_read_again_has_lost_nothing(dialect: Dialect, job: ChatJob) -> None:
    asked = dialect.can_ask(job)

    parsed = dialect.parse(dialect.render(asked))

    assert parsed.job == asked
    assert parsed.warnings == ()
