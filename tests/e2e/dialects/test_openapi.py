"""Schemathesis checks the gateway against its OpenAPI document, with valid and with invalid requests."""

import asyncio
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer
from pydantic import SecretStr

from claude_gateway.builtin_tools.choice_store import ToolChoiceStore
from claude_gateway.builtin_tools.counters import ToolCounters
from claude_gateway.builtin_tools.service import BuiltinToolService
from claude_gateway.devtools.fake_anthropic.server import FakeAnthropic
from claude_gateway.sessions.service import SessionService
from claude_gateway.sessions.session_lock import SessionLocks
from claude_gateway.sessions.session_store import SessionStore
from claude_gateway.storage.database import open_database
from claude_gateway.stored_responses.response_store import ResponseStore
from claude_gateway.stored_responses.service import ResponseService
from tests.claude_gateway.mcp_servers.scripted import create_empty_manager
from tests.claude_gateway.scripted import FINISHED, STARTED, ScriptedEngine, ScriptedWorkerSource, build_scripted_app
from tests.claude_gateway.scripted import make_settings as scripted_settings
from tests.e2e.helpers.gateway import API_KEY, run_gateway_on
from workers.core.events import BlockEnded, BlockStarted, TextDelta
from workers.core.job import Text

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

_CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
_RANDOM = ("--phases", "examples,fuzzing", "--max-examples", "6")
# Values at and beyond every bound of the document.
_BOUNDS = ("--phases", "coverage")
_GEMINI = "/v1beta/models/{model}"
_JOBS = ("/v1/chat/completions", "/v1/messages", "/v1/responses", f"{_GEMINI}:generateContent")
# Paths that accept the same bodies.
_LIKE_THEM = (
    *("/v1/compatibility", "/v1/debug/request", "/v1/messages/count_tokens"),
    *(f"{_GEMINI}:streamGenerateContent", f"{_GEMINI}:countTokens"),
)


async def run_schemathesis(url: str, at: Path, *what: str) -> str:
    """Run schemathesis against a gateway, and return its report, or "" if it found nothing."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json"),
        *("--header", f"Authorization: Bearer {API_KEY}", "--checks", _CHECKS, "--continue-on-failure"),
        *(*what, "--generation-deterministic", "--no-shrink", "--warnings", "off", "--no-color"),
        *("--generation-with-security-parameters", "false", "--request-timeout", "60"),
        cwd=at,
        stdout=PIPE,
        stderr=STDOUT,
    )
    output, _ = await process.communicate()
    return output.decode()[-20_000:] if process.returncode else ""


def repeat_option(option: str, *paths: str) -> tuple[str, ...]:
    return tuple(word for path in paths for word in (option, path))


@pytest.mark.promise("openapi.no-surprise")
@pytest.mark.parametrize(
    "what",
    [
        # /v1/admin/live streams without end, so it is left out.
        (*_RANDOM, *repeat_option("--exclude-path", "/v1/admin/live")),
        (*_BOUNDS, *repeat_option("--exclude-path", "/v1/admin/live", *_JOBS, *_LIKE_THEM)),
    ],
    ids=["random", "bounds"],
)
async def test_every_response_is_one_that_the_document_describes(
    upstream: FakeAnthropic, tmp_path: Path, what: tuple[str, ...]
) -> None:
    """The gateway returns no 5xx, and only statuses, content types and shapes that the document names."""
    async with run_gateway_on(upstream, tmp_path / "state", rate_limit_enabled=False) as gateway:
        assert await run_schemathesis(gateway.url, tmp_path, *what) == ""


async def test_every_response_to_a_boundary_value_is_one_that_the_document_describes(tmp_path: Path) -> None:
    """Most of these requests are jobs, too many for real processes, so a scripted engine answers them."""
    async with run_scripted_gateway(tmp_path) as url:
        assert await run_schemathesis(url, tmp_path, *_BOUNDS, *repeat_option("--include-path", *_JOBS)) == ""


@asynccontextmanager
async def run_scripted_gateway(at: Path) -> AsyncIterator[str]:
    """Run a gateway whose replies all fit the only schema of which the document has an example."""
    text = (STARTED, BlockStarted(Text("")), TextDelta('{"name": "Ann"}'), BlockEnded(), FINISHED)
    async with open_database(at / "gateway.db") as database:
        app = build_scripted_app(
            ScriptedWorkerSource.repeating(*text),
            api_key=SecretStr(API_KEY),
            responses=ResponseService(
                ResponseStore(database, scripted_settings().stored_response_limits()), b"the key of the tests"
            ),
            builtin_tools=BuiltinToolService(
                ScriptedEngine(), ToolChoiceStore(database), ToolCounters(), create_empty_manager()
            ),
            sessions=SessionService(SessionStore(database), scripted_settings().session_limits(), SessionLocks(10, 60)),
        )
        async with TestServer(app) as server:
            yield str(server.make_url("")).rstrip("/")
