"""One folder a case: what a caller sent, the job it became, what the engine answered, what the caller got.

`request.json` and either `error.json`, or `job.json`, `events.json`, `stream.txt` and `body.json`. A request that
asks for no stream has both forms of its answer all the same.
"""

from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from claude_gateway.errors import ApiError
from tests.claude_gateway.dialects.adapters import DIALECTS, Dialect
from workers.events import Event, Finished, Restarted, Started, TextDelta, ThinkingDelta, Usage

CASES = Path(__file__).parent / "cases"
EVENTS = {kind.__name__: kind for kind in (Started, TextDelta, ThinkingDelta, Restarted, Finished)}


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

    assert as_json(parsed) == read(case / "job.json")


@cases("stream.txt")
def test_the_events_become_the_stream(dialect: Dialect, case: Path) -> None:
    usage = dialect.parse(read(case / "request.json")).include_usage
    data = dialect.stream(events(case), usage=usage)

    assert "".join(f"data: {one}\n" for one in data) == (case / "stream.txt").read_text()


@cases("body.json")
def test_the_events_become_the_body(dialect: Dialect, case: Path) -> None:
    assert dialect.body(events(case)) == read(case / "body.json")


@cases("error.json")
def test_the_request_is_refused_with_the_error(dialect: Dialect, case: Path) -> None:
    with pytest.raises(ApiError) as raised:
        dialect.parse(read(case / "request.json"))

    assert {"status": raised.value.status, **dialect.error(raised.value)} == read(case / "error.json")


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_every_folder_is_a_whole_case(dialect: Dialect) -> None:
    answered = {"request.json", "job.json", "events.json", "stream.txt", "body.json"}
    folders = [{path.name for path in folder.iterdir()} for folder in (CASES / dialect.name).iterdir()]

    assert folders
    assert all(names in (answered, {"request.json", "error.json"}) for names in folders)


def read(path: Path) -> Any:
    return orjson.loads(path.read_bytes())


def events(case: Path) -> list[Event]:
    """`[{"TextDelta": {"text": "hi"}}, …]` as events."""
    return [_event(name, fields) for entry in read(case / "events.json") for name, fields in entry.items()]


def _event(name: str, fields: dict[str, Any]) -> Event:
    if "usage" in fields:
        fields = {**fields, "usage": Usage(**fields["usage"])}
    return EVENTS[name](**fields)


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
    return {type(value).__name__: fields} if type(value).__name__ in ("Text", "ToolUse", "ToolResult") else fields
