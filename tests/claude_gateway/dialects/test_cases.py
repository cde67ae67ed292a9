"""Golden cases, one folder each: the request of a client, its job, the events of the job, and the response.

A case consists of `request.json` and either `error.json`, or `job.json`, `events.json`, `stream.txt` and `body.json`.
It has the streamed and the whole response, whether or not the request sets `stream`. A case that only covers parsing
lacks `events.json`, `stream.txt` and `body.json`.

The files are the specification. After an intended change, `WRITE_CASES=1 pytest <this file>` writes the new results for
each `request.json` and `events.json`; review the difference before you commit it.
"""

import os
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from claude_gateway.core.errors import ApiError
from claude_gateway.request_reading.json_body import request_validation_error
from tests.claude_gateway.dialects.adapters.all_dialects import DIALECTS
from tests.claude_gateway.dialects.adapters.dialect_adapter import DialectAdapter, Json, SentEvent
from workers.core import events, job
from workers.core.events import Event, TokenUsage

CASES = Path(__file__).parent / "cases"
PARSING_FILES = {"request.json", "job.json"}
RESPONSE_FILES = {*PARSING_FILES, "events.json", "stream.txt", "body.json"}
ERROR_FILES = {"request.json", "error.json"}
SHOULD_WRITE = "WRITE_CASES" in os.environ
every_dialect = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)


def cases_with(file_name: str) -> pytest.MarkDecorator:
    """Parametrize a test with every case whose folder contains this file."""
    params = [
        pytest.param(dialect, folder, id=f"{dialect.name}-{folder.name}")
        for dialect in DIALECTS
        for folder in sorted((CASES / dialect.name).iterdir())
        if (folder / file_name).exists()
    ]
    return pytest.mark.parametrize(("dialect", "case"), params)


@cases_with("job.json")
def test_parses_request_to_job(dialect: DialectAdapter, case: Path) -> None:
    parsed = dialect.parse(read_json(case / "request.json"))

    assert_equals_file(to_json(parsed), case / "job.json")


@cases_with("stream.txt")
def test_encodes_events_to_stream(dialect: DialectAdapter, case: Path) -> None:
    usage = dialect.parse(read_json(case / "request.json")).include_usage

    assert_equals_file(render_stream(dialect.encode_stream(read_events(case), usage=usage)), case / "stream.txt")


@cases_with("body.json")
def test_encodes_events_to_body(dialect: DialectAdapter, case: Path) -> None:
    assert_equals_file(dialect.encode_body(read_events(case)), case / "body.json")


@cases_with("error.json")
def test_rejects_request_with_error(dialect: DialectAdapter, case: Path) -> None:
    error = get_rejection(dialect, read_json(case / "request.json"))

    assert_equals_file({"status": dialect.status(error), **dialect.error_object(error)}, case / "error.json")


@every_dialect
def test_every_case_folder_is_complete(dialect: DialectAdapter) -> None:
    folders = [{path.name for path in folder.iterdir()} for folder in (CASES / dialect.name).iterdir()]

    assert folders
    assert all(names in (RESPONSE_FILES, PARSING_FILES, ERROR_FILES) for names in folders)


def get_rejection(dialect: DialectAdapter, request: Json) -> ApiError:
    with pytest.raises((ApiError, ValidationError)) as raised:
        dialect.parse(request)
    return raised.value if isinstance(raised.value, ApiError) else request_validation_error(raised.value)


def assert_equals_file(result: Any, path: Path) -> None:
    """Assert that the result equals the file; with `WRITE_CASES` write it to the file."""
    if SHOULD_WRITE:
        pretty = orjson.dumps(result, option=orjson.OPT_INDENT_2) + b"\n"
        path.write_bytes(result.encode() if isinstance(result, str) else pretty)
    assert result == (path.read_text() if path.suffix == ".txt" else read_json(path))


def read_json(path: Path) -> Any:
    return orjson.loads(path.read_bytes())


def render_stream(sent: list[SentEvent]) -> str:
    """Return the text of a stream without the blank lines between events."""
    return "".join(f"event: {name}\ndata: {data}\n" if name else f"data: {data}\n" for name, data in sent)


def read_events(case: Path) -> list[Event]:
    """Return the events in a file such as `[{"TextDelta": {"text": "hi"}}, …]`."""
    return [_event(name, fields) for entry in read_json(case / "events.json") for name, fields in entry.items()]


def _event(name: str, fields: Json) -> Event:
    if "usage" in fields:
        fields = {**fields, "usage": TokenUsage(**fields["usage"])}
    if "block" in fields:
        ((kind, block),) = fields["block"].items()
        fields = {"block": getattr(job, kind)(**block)}
    event: Event = getattr(events, name)(**fields)
    return event


def to_json(value: Any) -> Any:
    """Convert frozen data to JSON without default values; the name of its class is the only key of a block."""
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    if not is_dataclass(value):
        return value
    fields = {
        name: to_json(getattr(value, name))
        for name, field in value.__dataclass_fields__.items()
        if getattr(value, name) != field.default
    }
    return {type(value).__name__: fields} if isinstance(value, job.Block) else fields
