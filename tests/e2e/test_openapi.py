"""What a machine makes of the OpenAPI document: schemathesis sends what it allows, and what it does not."""

import asyncio
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

import pytest

from claude_gateway.demo.upstream import StandIn
from tests.e2e.conftest import API_KEY, gateway_on

_CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


@pytest.mark.e2e
@pytest.mark.timeout(300)
@pytest.mark.promise("openapi.no-surprise")
async def test_whatever_is_sent_the_answer_is_one_that_the_document_tells_of(upstream: StandIn, tmp_path: Path) -> None:
    """No 5xx, no status, content type or shape that does not stand there."""
    async with gateway_on(upstream, tmp_path / "state", rate_limit_enabled=False) as gateway:
        ran = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{gateway.url}/openapi.json"),
            *("--header", f"Authorization: Bearer {API_KEY}", "--checks", _CHECKS, "--continue-on-failure"),
            *("--phases", "examples,fuzzing", "--max-examples", "6", "--generation-deterministic"),
            # A stream without end.
            *("--exclude-path", "/v1/admin/live", "--request-timeout", "60", "--no-color", "--no-shrink"),
            *("--warnings", "off", "--generation-with-security-parameters", "false"),
            cwd=tmp_path,
            stdout=PIPE,
            stderr=STDOUT,
        )
        told, _ = await ran.communicate()

    assert ran.returncode == 0, told.decode()[-20_000:]
