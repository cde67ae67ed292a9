"""Properties that hold in every dialect."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from pydantic.alias_generators import to_camel

from claude_gateway.core.errors import ApiError, from_worker_error
from claude_gateway.request_reading.json_body import request_validation_error
from tests.claude_gateway.dialects.adapters.all_dialects import DIALECTS
from tests.claude_gateway.dialects.adapters.dialect_adapter import DialectAdapter, Json
from tests.claude_gateway.dialects.strategies.event_streams import (
    STARTED,
    block_events,
    collect_blocks,
    complete_replies,
    finish_events,
    interrupted_replies,
    normalize_interrupted_calls,
    normalize_tool_calls,
)
from tests.claude_gateway.dialects.strategies.jobs import jobs
from tests.claude_gateway.dialects.strategies.json_values import json_values, mutated, names
from workers.core.errors import ErrorKind, WorkerError
from workers.core.events import BlockEnded, BlockStarted, Event, Finished, StreamReset, TextDelta, TokenUsage
from workers.core.job import ChatJob, Text

every_dialect = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
HELLO: list[Event] = [
    STARTED,
    BlockStarted(Text("")),
    TextDelta("hi"),
    BlockEnded(),
    Finished("end_turn", TokenUsage()),
]


def get_rejection(dialect: DialectAdapter, request: Json) -> str | None:
    """Return the error text for a rejected request, or None; any other exception fails the test."""
    try:
        dialect.parse(request)
    except ValidationError as error:
        return request_validation_error(error).extra["details"][0]["field"]
    except ApiError as error:
        return error.message
    return None


@every_dialect
@pytest.mark.promise("stream.same-as-body")
@given(events=complete_replies())
def test_stream_adds_up_to_the_body(dialect: DialectAdapter, events: list[Event]) -> None:
    streamed = dialect.read_stream(dialect.encode_stream(events, usage=True))
    complete = dialect.read_body(dialect.encode_body(events))

    assert replace(streamed, blocks=normalize_tool_calls(streamed.blocks)) == replace(
        complete, blocks=normalize_tool_calls(complete.blocks)
    )


@every_dialect
@given(events=complete_replies())
def test_body_contains_all_blocks_that_the_dialect_supports(dialect: DialectAdapter, events: list[Event]) -> None:
    reply = dialect.read_body(dialect.encode_body(events))

    assert normalize_tool_calls(reply.blocks) == normalize_tool_calls(dialect.supported_blocks(collect_blocks(events)))


@every_dialect
@given(text=st.text(max_size=40), cuts=st.lists(st.integers(0, 40)), end=finish_events)
def test_body_does_not_depend_on_text_chunks(
    dialect: DialectAdapter, text: str, cuts: list[int], end: Finished
) -> None:
    positions = sorted({0, *(cut for cut in cuts if cut < len(text)), len(text)})
    deltas = [TextDelta(text[a:b]) for a, b in pairwise(positions)]

    chunked, whole = (
        dialect.encode_body([STARTED, BlockStarted(Text("")), *text_deltas, BlockEnded(), end])
        for text_deltas in (deltas, [TextDelta(text)])
    )

    assert chunked == whole
    assert "".join(block.text for block in dialect.read_body(chunked).blocks) == text


@every_dialect
@pytest.mark.promise("stream.one-finish")
@given(events=complete_replies(), usage=st.booleans())
def test_stream_ends_once_with_finish_reason_after_every_block(
    dialect: DialectAdapter, events: list[Event], usage: bool
) -> None:
    assert dialect.read_stream(dialect.encode_stream(events, usage=usage)).finish_reason


@every_dialect
@pytest.mark.promise("stream.blocks-closed")
@given(events=interrupted_replies())
def test_interrupted_stream_closes_open_blocks_and_ends_in_an_error(
    dialect: DialectAdapter, events: list[Event]
) -> None:
    error = from_worker_error(WorkerError(ErrorKind.UPSTREAM_DISCONNECTED, "What happened."))

    partial_blocks, error_object = dialect.read_interrupted_stream(dialect.encode_interrupted_stream(events, error))

    assert normalize_interrupted_calls(partial_blocks) == normalize_interrupted_calls(dialect.partial_blocks(events))
    assert dialect.is_valid_error(error_object)
    assert "What happened." in str(error_object)


@every_dialect
@pytest.mark.promise("stream.usage-when-asked")
@given(events=complete_replies())
def test_stream_reports_the_usage_of_the_body_on_request(dialect: DialectAdapter, events: list[Event]) -> None:
    with_usage, without_usage = (dialect.encode_stream(events, usage=usage) for usage in (True, False))

    assert dialect.read_stream(with_usage).usage == dialect.read_body(dialect.encode_body(events)).usage
    if dialect.is_usage_optional:
        assert dialect.read_stream(without_usage).usage is None
        assert not any("usage" in orjson.loads(data) for _, data in without_usage[:-1])
    else:
        assert without_usage == with_usage


@every_dialect
@pytest.mark.parametrize("usage", [True, False])
def test_request_decides_whether_usage_is_included(dialect: DialectAdapter, usage: bool) -> None:
    include_usage = dialect.parse(dialect.minimal_request(usage=usage)).include_usage

    assert include_usage is (usage if dialect.is_usage_optional else True)


@every_dialect
def test_unknown_stop_reason_ends_the_reply_normally(dialect: DialectAdapter) -> None:
    events = [*HELLO[:-1], Finished("future_reason", TokenUsage())]  # type: ignore[arg-type]

    known, unknown = dialect.encode_stream(HELLO), dialect.encode_stream(events)

    assert [name for name, _ in known] == [name for name, _ in unknown]
    assert dialect.encode_body(events).keys() == dialect.encode_body(HELLO).keys()


@every_dialect
@pytest.mark.promise("stream.no-second-reply")
@given(before=block_events(min_blocks=1), after=complete_replies())
def test_stream_reset_ends_the_stream_in_an_error(
    dialect: DialectAdapter, before: list[Event], after: list[Event]
) -> None:
    with pytest.raises(ApiError) as raised:
        dialect.encode_stream([STARTED, *before, StreamReset(), *after[1:]])

    assert raised.value.status == 502


@every_dialect
@given(before=interrupted_replies(), after=complete_replies())
def test_stream_reset_clears_the_body(dialect: DialectAdapter, before: list[Event], after: list[Event]) -> None:
    body = dialect.encode_body([STARTED, *before[1:], StreamReset(), *after[1:]])

    assert body == dialect.encode_body(after)


@every_dialect
@given(events=interrupted_replies())
def test_events_without_an_end_give_no_body(dialect: DialectAdapter, events: list[Event]) -> None:
    with pytest.raises(ApiError):
        dialect.encode_body(events)


@every_dialect
@pytest.mark.promise("errors.envelope")
@pytest.mark.parametrize("kind", ErrorKind)
def test_every_error_kind_has_a_status_and_a_valid_error_body(dialect: DialectAdapter, kind: ErrorKind) -> None:
    error = from_worker_error(WorkerError(kind, "What happened.", detail="/home/someone/secret"))
    envelope = dialect.error_object(error)

    assert 400 <= error.status < 600
    assert dialect.is_valid_error(envelope)
    assert "What happened." in str(envelope)
    assert "secret" not in str(envelope)


@every_dialect
@pytest.mark.promise("chat.warnings")
@given(extra=st.dictionaries(names, json_values, max_size=4))
def test_unknown_field_gives_a_warning_and_does_not_change_the_job(
    dialect: DialectAdapter, extra: dict[str, Any]
) -> None:
    # In Gemini, SERVICE_TIER means serviceTier, and a drawn name may have that form.
    unknown = {name: value for name, value in extra.items() if not {name, to_camel(name)} & dialect.fields}
    parsed = dialect.parse({**dialect.minimal_request(), **unknown})
    warned = [n for n, value in unknown.items() if value is not None and value is not False and value not in ([], {})]

    assert parsed.job == dialect.parse(dialect.minimal_request()).job
    assert list(parsed.warnings) == [f"{name}: ignored (unknown parameter)" for name in warned]


@every_dialect
@pytest.mark.promise("errors.field-named")
@given(choice=st.data(), value=json_values)
def test_known_field_with_any_value_is_accepted_or_named_in_the_error(
    dialect: DialectAdapter, choice: st.DataObject, value: Any
) -> None:
    field = choice.draw(st.sampled_from(sorted(dialect.fields)))

    rejection = get_rejection(dialect, {**dialect.minimal_request(), field: value})

    assert rejection is None or field in rejection


@every_dialect
@pytest.mark.promise("errors.field-named")
@given(job=jobs(), choice=st.data())
def test_mutated_request_is_accepted_or_a_field_is_named_in_the_error(
    dialect: DialectAdapter, job: ChatJob, choice: st.DataObject
) -> None:
    request = choice.draw(mutated(dialect.build_request(dialect.supported_job(job))))

    rejection = get_rejection(dialect, request)

    assert rejection is None or any(field in rejection for field in dialect.fields)


@every_dialect
@pytest.mark.promise("dialects.nothing-lost")
@given(job=jobs())
def test_job_survives_a_round_trip_through_a_request(dialect: DialectAdapter, job: ChatJob) -> None:
    supported = dialect.supported_job(job)

    parsed = dialect.parse(dialect.build_request(supported))

    assert parsed.job == supported
    assert parsed.warnings == ()
