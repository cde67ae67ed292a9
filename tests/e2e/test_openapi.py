"""What a machine makes of the OpenAPI document: schemathesis sends what it allows, and what it does not."""

import asyncio
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer
from pydantic import SecretStr

from claude_gateway.demo.upstream import StandIn
from claude_gateway.own_tools.counts import ToolCounts
from claude_gateway.own_tools.toolbox import Toolbox
from claude_gateway.responses.register import Responses
from claude_gateway.sessions.lines import Lines
from claude_gateway.sessions.register import Sessions
from claude_gateway.stores.db import open_database
from claude_gateway.stores.responses import ResponseStore
from claude_gateway.stores.sessions import SessionStore
from claude_gateway.stores.tool_choices import ToolChoiceStore
from tests.claude_gateway.mcp_servers.scripted import no_servers
from tests.claude_gateway.scripted import FINISHED, STARTED, ScriptedDispatcher, ScriptedEngine, scripted_app
from tests.claude_gateway.scripted import settings as scripted_settings
from tests.e2e.conftest import API_KEY, gateway_on
from workers.events import BlockEnded, BlockStarted, TextDelta
from workers.job import Text

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

_CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
_RANDOM = ("--phases", "examples,fuzzing", "--max-examples", "6")
# Every bound that the document names, from either side.
_BOUNDS = ("--phases", "coverage")
_GEMINI = "/v1beta/models/{model}"
_JOBS = ("/v1/chat/completions", "/v1/messages", "/v1/responses", f"{_GEMINI}:generateContent")
# What takes the same bodies.
_LIKE_THEM = (
    *("/v1/compatibility", "/v1/debug/request", "/v1/messages/count_tokens"),
    *(f"{_GEMINI}:streamGenerateContent", f"{_GEMINI}:countTokens"),
)


async def complaints(url: str, at: Path, *what: str) -> str:
    """What schemathesis has to say against the gateway there; "" for nothing."""
    ran = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json"),
        *("--header", f"Authorization: Bearer {API_KEY}", "--checks", _CHECKS, "--continue-on-failure"),
        *(*what, "--generation-deterministic", "--no-shrink", "--warnings", "off", "--no-color"),
        *("--generation-with-security-parameters", "false", "--request-timeout", "60"),
        cwd=at,
        stdout=PIPE,
        stderr=STDOUT,
    )
    told, _ = await ran.communicate()
    return told.decode()[-20_000:] if ran.returncode else ""


def each(option: str, *paths: str) -> tuple[str, ...]:
    return tuple(word for path in paths for word in (option, path))


@pytest.mark.promise("openapi.no-surprise")
@pytest.mark.parametrize(
    "what",
    [
        # What goes on without end is left out.
        (*_RANDOM, *each("--exclude-path", "/v1/admin/live")),
        (*_BOUNDS, *each("--exclude-path", "/v1/admin/live", *_JOBS, *_LIKE_THEM)),
    ],
    ids=["random", "bounds"],
)
async def test_whatever_is_sent_the_answer_is_one_that_the_document_tells_of(
    upstream: StandIn, tmp_path: Path, what: tuple[str, ...]
) -> None:
    """No 5xx, no status, content type or shape that does not stand there."""
    async with gateway_on(upstream, tmp_path / "state", rate_limit_enabled=False) as gateway:
        assert await complaints(gateway.url, tmp_path, *what) == ""


async def test_nor_is_it_for_any_bound_of_a_job(tmp_path: Path) -> None:
    """Of which most are jobs: too many for real processes."""
    async with answering(tmp_path) as url:
        assert await complaints(url, tmp_path, *_BOUNDS, *each("--include-path", *_JOBS)) == ""


@asynccontextmanager
async def answering(at: Path) -> AsyncIterator[str]:
    """A gateway whose every answer fits the one schema that the document has an example of."""
    text = (STARTED, BlockStarted(Text("")), TextDelta('{"name": "Ann"}'), BlockEnded(), FINISHED)
    async with open_database(at / "gateway.db") as database:
        app = scripted_app(
            ScriptedDispatcher.always(*text),
            api_key=SecretStr(API_KEY),
            responses=Responses(ResponseStore(database, scripted_settings().responses()), b"the key of the tests"),
            toolbox=Toolbox(ScriptedEngine(), ToolChoiceStore(database), ToolCounts(), no_servers()),
            sessions=Sessions(SessionStore(database), scripted_settings().sessions(), Lines(10, 60)),
        )
        async with TestServer(app) as server:
            yield str(server.make_url("")).rstrip("/")
