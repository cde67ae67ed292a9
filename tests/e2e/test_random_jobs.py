"""What the upstream receives of random requests is what it should, in a fresh process as in a used one."""

from pathlib import Path

import pytest

from tests.e2e.random_jobs.compare import differences
from tests.e2e.random_jobs.generator import random_job
from tests.e2e.random_jobs.job import DIALECTS, Dialect, Job, Parameters, Text, Turn
from tests.e2e.random_jobs.prompt import readable
from tests.e2e.random_jobs.trial import run_jobs
from tests.e2e.random_jobs.wire import body_of

JOBS_OF_A_DIALECT = 10
SEED = 20_261_130


@pytest.mark.e2e
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_upstream_receives_random_jobs_as_they_were_sent(tmp_path: Path, dialect: Dialect) -> None:
    ran = await run_jobs(tmp_path, dialect, JOBS_OF_A_DIALECT, SEED)

    assert ran.jobs == 2 * JOBS_OF_A_DIALECT
    assert not ran.findings, "\n".join(f"{one.route}: {one.difference}" for one in ran.findings)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_same_seed_makes_the_same_job(dialect: Dialect) -> None:
    assert body_of(random_job(7, dialect)) == body_of(random_job(7, dialect))
    assert body_of(random_job(7, dialect)) != body_of(random_job(8, dialect))


def _asked(text: str, **more: object) -> dict[str, object]:
    return {"max_tokens": 10, "messages": [{"role": "user", "content": text}], **more}


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (_asked("hi"), None),
        (_asked("hi "), "messages.0.content.0.text"),
        (_asked("hi", system="more"), "system"),
        (_asked("hi", temperature=0.5), "parameters.temperature"),
        (_asked("hi", max_tokens=9), "parameters.max_tokens"),
        (_asked("hi", stop_sequences=["x"]), "parameters.stop_sequences.length"),
        (_asked("hi", tools=[{"name": "f", "input_schema": {}}]), "tools.names.length"),
        (_asked("hi", messages=[{"role": "assistant", "content": "hi"}]), "messages.0.role"),
    ],
)
def test_difference_is_found_and_named_by_its_place(body: dict[str, object], place: str | None) -> None:
    job = Job("messages", "claude", (Turn("user", (Text("hi"),)),), parameters=Parameters(max_tokens=10))

    assert [one.place for one in differences(job, body)] == ([] if place is None else [place])


@pytest.mark.parametrize(
    ("name", "alias", "expected"),
    [
        ("github.create_issue", "github_create_issue", True),
        ("filter[id]", "filter_id_", True),
        ("город", "p1", True),
        ("github.create_issue", "tool_e877a64743d03e4430b6f175", False),
    ],
)
def test_alias_is_readable_where_the_name_stands_in_it(name: str, alias: str, expected: bool) -> None:
    assert readable(name, alias) is expected
