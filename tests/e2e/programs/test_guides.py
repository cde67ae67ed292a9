"""Every example of the guides, as a reader would run it, one after the other, against a gateway on the real CLI."""

import json
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from claude_gateway.devtools.cli_contract.sample_media import make_png
from claude_gateway.devtools.fake_anthropic.server import run_fake_anthropic
from tests.documents.examples import GUIDES, Example, find_examples
from tests.e2e.helpers.commands import PYTHON_COMMAND, run_command
from tests.e2e.helpers.gateway import API_KEY, Gateway, run_gateway_on
from tests.e2e.helpers.tool_directives import tool_directive
from tests.installed import SANDBOX_PROGRAMS, require_programs

# Each test runs several programs one after the other, which takes long on a slow machine.
pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]

# Questions of the guide, each with the directive that makes the fake Anthropic API reply as a model would.
DIRECTIVES_BY_QUESTION = {
    "What is the weather in Cairo?": '{{tool get_weather {"city": "Cairo"}}}',
    "كيف الطقس في القاهرة؟": '{{tool get_weather {"city": "القاهرة"}}}',
    "Ali is 30 years old.": '{{say {"name": "Ali", "age": 30}}}',
    "عمر علي 30 سنة.": '{{say {"name": "علي", "age": 30}}}',
    "Draw the values of data.csv as chart.svg.": tool_directive("Write", file_path="/desk/chart.svg", content="<svg/>"),
    "ارسم قيم data.csv في chart.svg.": tool_directive("Write", file_path="/desk/chart.svg", content="<svg/>"),
}
ROOT = Path(__file__).parents[3]
# The guide shows this rate limit; the others are so high that no test reaches them.
LIMITS = {"rate_limit_enabled": True, "rate_limit_auth_per_minute": 10} | dict.fromkeys(
    (f"rate_limit_{group}per_minute" for group in ("", "chat_", "session_", "health_", "debug_")), 1_000
)
# Input for the programs that ask their reader.
TYPED_INPUT = "Hello!\nHow are you?\nexit\n" * 2
CURL = 'set -e; curl() { command curl -sS --fail-with-body "$@"; local status=$?; echo; return $status; }\n'


@pytest.fixture(scope="module")
def server_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a real MCP server that ignores its arguments, for the command that the guide registers."""
    program = tmp_path_factory.mktemp("mcp") / "mcp-server"
    program.write_text(f"#!/bin/sh\ncd {ROOT} && exec {sys.executable} -m tests.mcp_programs.library\n")
    program.chmod(0o755)
    return program


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def guide_gateway(tmp_path_factory: pytest.TempPathFactory, server_program: Path) -> AsyncIterator[Gateway]:
    require_programs({**SANDBOX_PROGRAMS, "curl": "curl", "node": "nodejs"})
    state = tmp_path_factory.mktemp("state")
    readable = ":".join(map(str, (server_program, ROOT, sys.prefix, sys.base_prefix)))
    programs = {"mcp_allowed_commands": f"{server_program} --port 3001", "mcp_readable_paths": readable}
    async with (
        run_fake_anthropic(record_requests=False) as upstream,
        run_gateway_on(upstream, state, **programs, **LIMITS) as gateway,
    ):
        yield gateway


@pytest.fixture
def work_dir(tmp_path: Path) -> Path:
    """Return a reader's working directory, with the files that the examples name."""
    (tmp_path / "photo.png").write_bytes(make_png(8, 8))
    (tmp_path / "data.csv").write_text("name,value\na,3\nb,5\n")
    return tmp_path


@pytest.mark.promise("guide.examples-run")
@pytest.mark.parametrize("language", GUIDES)
async def test_python_and_curl_examples_of_the_guide_get_the_documented_responses(
    guide_gateway: Gateway, server_program: Path, work_dir: Path, language: str
) -> None:
    """The HTTP requests retrieve objects that the Python programs created."""
    key = await create_key(guide_gateway)
    await run_python(
        guide_gateway,
        key,
        work_dir,
        [example for example in find_language_examples(language, "python") if not example.purpose],
    )
    output = ""
    for example in find_language_examples(language, "bash", "json", "text"):
        match example.language, example.purpose.split():
            case "bash", expected:
                commands = CURL + adapt_example(guide_gateway, example, key).replace(
                    "/path/to/mcp-server", str(server_program)
                )
                output = await run_command(work_dir, "bash", "-c", commands, fails=expected == ["error"])
            case "json", ["POST", path]:
                output = await post(guide_gateway, key, path, json.loads(adapt_example(guide_gateway, example)))
            case "json", ["answer"]:
                # The example shows the response of the last command.
                assert (
                    find_missing_fields(json.loads(example.text), json.loads(output.strip().splitlines()[-1])) == []
                ), example
            case "text", ["stream"]:
                assert read_event_fields(output).keys() == read_event_fields(example.text).keys(), example
    assert (work_dir / "chart.svg").read_text() == "<svg/>"


@pytest.mark.promise("guide.examples-run")
@pytest.mark.parametrize("language", GUIDES)
async def test_javascript_examples_of_the_guide_run(guide_gateway: Gateway, work_dir: Path, language: str) -> None:
    for example in find_language_examples(language, "javascript"):
        if not example.purpose:
            (work_dir / "guide.mjs").write_text(adapt_example(guide_gateway, example))
            assert (await run_command(work_dir, "node", "guide.mjs")).strip(), example


@pytest.mark.promise("guide.examples-run")
@pytest.mark.parametrize("language", GUIDES)
async def test_services_of_the_guide_reply(guide_gateway: Gateway, work_dir: Path, language: str) -> None:
    body = {"message": "Hello!", "session_id": "s", "sessionId": "s"}
    for example in find_language_examples(language, "python", "javascript"):
        if example.purpose == "service" and example.language == "python":
            ending = f"""
from aiohttp.test_utils import TestClient, TestServer
async def main():
    async with TestClient(TestServer(app)) as test_client:
        print((await (await test_client.post("/chat", json={body!r})).json())["reply"])
    await client.close()
import asyncio
asyncio.run(main())
"""
            source = adapt_example(guide_gateway, example).replace('__name__ == "__main__"', "False")
            (work_dir / "service.py").write_text(source + ending)
            assert "Hello!" in await run_command(work_dir, sys.executable, "service.py")
        elif example.purpose == "service":
            ending = f"""
const request = new Request("http://localhost/", {{ method: "POST", body: JSON.stringify({json.dumps(body)}) }});
console.log((await (await POST(request)).json()).reply);
"""
            (work_dir / "service.mjs").write_text(adapt_example(guide_gateway, example) + ending)
            assert "Hello!" in await run_command(work_dir, "node", "service.mjs")


async def create_key(gateway: Gateway) -> str:
    """Create a key for one reader, so that one language does not use up the rate limit of the other."""
    body = {"name": "reader", "scopes": ["chat", "tools", "mcp", "admin"]}
    return str(json.loads(await post(gateway, API_KEY, "/v1/admin/keys", body, 201))["key"])


async def run_python(gateway: Gateway, key: str, work_dir: Path, blocks: list[Example]) -> None:
    """Run the blocks one after the other in one process, because later ones use the client of the first."""
    program = "".join(f"\nprint('--', {str(block)!r})\n{adapt_example(gateway, block, key)}" for block in blocks)
    (work_dir / "guide.py").write_text(program)
    output = await run_command(work_dir, *PYTHON_COMMAND, "guide.py", typed=TYPED_INPUT)
    parts = output.split("-- line ")[1:]
    assert len(parts) == len(blocks)
    printing = [part for part, block in zip(parts, blocks, strict=True) if "print(" in block.text]
    assert all(len(part.splitlines()) > 1 for part in printing)


def find_language_examples(language: str, *languages: str) -> Iterator[Example]:
    return (example for example in find_examples(GUIDES[language].read_text()) if example.language in languages)


def adapt_example(gateway: Gateway, example: Example, key: str = API_KEY) -> str:
    """Return the text with the address and key of this gateway, and with directives for the fake Anthropic API."""
    text = example.text.replace("http://localhost:8000", gateway.url).replace("your-api-key", key)
    for question, directive in DIRECTIVES_BY_QUESTION.items():
        text = text.replace(json.dumps(question, ensure_ascii=False), json.dumps(directive, ensure_ascii=False))
    return text


async def post(gateway: Gateway, key: str, path: str, body: Any, expected: int = 200) -> str:
    headers = {"Authorization": f"Bearer {key}"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(gateway.url + path, json=body, headers=headers) as response,
    ):
        assert response.status == expected, await response.text()
        return await response.text()


def find_missing_fields(documented: Any, actual: Any, field_path: str = "") -> list[str]:
    """Return the fields that the guide shows and the response lacks, and values of another type."""
    if isinstance(documented, dict) and isinstance(actual, dict):
        missing = [f"{field_path}.{name}" for name in documented.keys() - actual.keys()]
        common = documented.keys() & actual.keys()
        return missing + [
            problem
            for name in common
            for problem in find_missing_fields(documented[name], actual[name], f"{field_path}.{name}")
        ]
    if isinstance(documented, list) and isinstance(actual, list) and documented and actual:
        return find_missing_fields(documented[0], actual[0], f"{field_path}[]")
    if type(documented) is type(actual):
        return []
    return [f"{field_path}: {actual!r} is not a {type(documented).__name__}"]


def read_event_fields(text: str) -> dict[str, Any]:
    """Return the names of all fields in the events of a stream that ends with [DONE]."""
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    parsed = [json.loads(line) for line in lines[:-1]]
    return dict.fromkeys(sorted({name for event in parsed for name in event}))
