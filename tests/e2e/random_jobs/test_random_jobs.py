"""Random requests become the expected upstream requests, in a fresh and in a reused process."""

from pathlib import Path

import pytest

from tests.e2e.random_jobs.compare import find_differences
from tests.e2e.random_jobs.generator import make_random_job
from tests.e2e.random_jobs.job import DIALECTS, Dialect, Job, Parameters, Text, Turn
from tests.e2e.random_jobs.prompt import is_readable_alias
from tests.e2e.random_jobs.trial import run_jobs
from tests.e2e.random_jobs.wire import request_body

JOBS_OF_A_DIALECT = 10
SEED = 20_261_130


@pytest.mark.e2e
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_upstream_receives_random_jobs_unchanged(tmp_path: Path, dialect: Dialect) -> None:
    trial = await run_jobs(tmp_path, dialect, JOBS_OF_A_DIALECT, SEED)

    assert trial.job_count == 2 * JOBS_OF_A_DIALECT
    assert not trial.findings, "\n".join(f"{finding.route}: {finding.difference}" for finding in trial.findings)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_same_seed_makes_the_same_job(dialect: Dialect) -> None:
    assert request_body(make_random_job(7, dialect)) == request_body(make_random_job(7, dialect))
    assert request_body(make_random_job(7, dialect)) != request_body(make_random_job(8, dialect))


def make_body(text: str, **fields: object) -> dict[str, object]:
    return {"max_tokens": 10, "messages": [{"role": "user", "content": text}], **fields}


@pytest.mark.parametrize(
    ("body", "field_path"),
    [
        (make_body("hi"), None),
        (make_body("hi "), "messages.0.content.0.text"),
        (make_body("hi", system="more"), "system"),
        (make_body("hi", temperature=0.5), "parameters.temperature"),
        (make_body("hi", max_tokens=9), "parameters.max_tokens"),
        (make_body("hi", stop_sequences=["x"]), "parameters.stop_sequences.length"),
        (make_body("hi", tools=[{"name": "f", "input_schema": {}}]), "tools.names.length"),
        (make_body("hi", messages=[{"role": "assistant", "content": "hi"}]), "messages.0.role"),
    ],
)
def test_difference_is_reported_with_its_path(body: dict[str, object], field_path: str | None) -> None:
    job = Job("messages", "claude", (Turn("user", (Text("hi"),)),), parameters=Parameters(max_tokens=10))

    expected = [] if field_path is None else [field_path]
    assert [difference.field_path for difference in find_differences(job, body)] == expected


@pytest.mark.parametrize(
    ("name", "alias", "expected"),
    [
        ("github.create_issue", "github_create_issue", True),
        ("filter[id]", "filter_id_", True),
        ("город", "p1", True),
        ("github.create_issue", "tool_e877a64743d03e4430b6f175", False),
    ],
)
def test_alias_that_contains_the_name_is_readable(name: str, alias: str, expected: bool) -> None:
    assert is_readable_alias(name, alias) is expected
