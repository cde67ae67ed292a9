"""One folder a case: what a caller sent, the job it became, what the engine answered, what the caller got.

`request.json` and either `error.json`, or `job.json`, `events.json`, `stream.txt` and `body.json`. A request that
asks for no stream has both forms of its answer all the same. A case may also be about one side alone: without
`events.json`, `stream.txt` and `body.json` it tells how a request is read.

The files are the specification. After a change of mind `WRITE_CASES=1 pytest <this file>` writes what the code now
makes of each `request.json` and `events.json`; read the difference before you keep it.
"""

import os
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from claude_gateway.errors import ApiError
from claude_gateway.reading.json_body import wrong_shape
from tests.claude_gateway.dialects.adapters import DIALECTS
from tests.claude_gateway.dialects.face import Dialect, Json, Sent
from workers import events, job
from workers.events import Event, Usage

CASES = Path(__file__).parent / "cases"
READ = {"request.json", "job.json"}
ANSWERED = {*READ, "events.json", "stream.txt", "body.json"}
REFUSED = {"request.json", "error.json"}
WRITE = "WRITE_CASES" in os.environ
every_dialect = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)


def cases(marker: str) -> pytest.MarkDecorator:
    """Every case that has this file."""
    found = [
        pytest.param(dialect, folder, id=f"{dialect.name}-{folder.name}")
        for dialect in DIALECTS
        for folder in sorted((CASES / dialect.name).iterdir())
        if (folder / marker).exists()
    ]
    return pytest.mark.parametrize(("dialect", "case"), found)


@cases("job.json")
def test_the_request_becomes_the_job(dialect: Dialect, case: Path) -> None:
    parsed = dialect.parse(read(case / "request.json"))

    assert_is(as_json(parsed), case / "job.json")


@cases("stream.txt")
def test_the_events_become_the_stream(dialect: Dialect, case: Path) -> None:
    usage = dialect.parse(read(case / "request.json")).include_usage

    assert_is(lines(dialect.stream(answer(case), usage=usage)), case / "stream.txt")


@cases("body.json")
def test_the_events_become_the_body(dialect: Dialect, case: Path) -> None:
    assert_is(dialect.body(answer(case)), case / "body.json")


@cases("error.json")
def test_the_request_is_refused_with_the_error(dialect: Dialect, case: Path) -> None:
    error = refusal(dialect, read(case / "request.json"))

    assert_is({"status": dialect.status(error), **dialect.error(error)}, case / "error.json")


@every_dialect
def test_every_folder_is_a_whole_case(dialect: Dialect) -> None:
    folders = [{path.name for path in folder.iterdir()} for folder in (CASES / dialect.name).iterdir()]

    assert folders
    assert all(names in (ANSWERED, READ, REFUSED) for names in folders)


def refusal(dialect: Dialect, request: Json) -> ApiError:
    with pytest.raises((ApiError, ValidationError)) as raised:
        dialect.parse(request)
    return raised.value if isinstance(raised.value, ApiError) else wrong_shape(raised.value)


def assert_is(made: Any, path: Path) -> None:
    """What was made is what the file says; under `WRITE_CASES` it becomes it."""
    if WRITE:
        pretty = orjson.dumps(made, option=orjson.OPT_INDENT_2) + b"\n"
        path.write_bytes(made.encode() if isinstance(made, str) else pretty)
    assert made == (path.read_text() if path.suffix == ".txt" else read(path))


def read(path: Path) -> Any:
    return orjson.loads(path.read_bytes())


def lines(sent: list[Sent]) -> str:
    """As on the wire, without the empty lines between."""
    return "".join(f"event: {name}\ndata: {data}\n" if name else f"data: {data}\n" for name, data in sent)


def answer(case: Path) -> list[Event]:
    """`[{"TextDelta": {"text": "hi"}}, …]` as events."""
    return [_event(name, fields) for entry in read(case / "events.json") for name, fields in entry.items()]


def _event(name: str, fields: Json) -> Event:
    if "usage" in fields:
        fields = {**fields, "usage": Usage(**fields["usage"])}
    if "block" in fields:
        ((kind, block),) = fields["block"].items()
        fields = {"block": getattr(job, kind)(**block)}
    event: Event = getattr(events, name)(**fields)
    return event


def as_json(value: Any) -> Any:
    """Frozen data as JSON, without what is as by default; a block of a turn under the name of its class."""
    if isinstance(value, list | tuple):
        return [as_json(one) for one in value]
    if not is_dataclass(value):
        return value
    fields = {
        name: as_json(getattr(value, name))
        for name, field in value.__dataclass_fields__.items()
        if getattr(value, name) != field.default
    }
    return {type(value).__name__: fields} if isinstance(value, job.Block) else fields
