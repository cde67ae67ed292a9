"""Every example of the guides, run as a reader would run it, one after the other, against a gateway on the real CLI."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from claude_gateway.cli_facts.pictures import png
from claude_gateway.demo.upstream import stand_in
from tests.documents.examples import GUIDES, Example, examples
from tests.e2e.conftest import API_KEY, Gateway, gateway_on
from tests.e2e.workshop import call
from tests.installed import SANDBOX, need

# Several programs one after the other: on a slow machine that lasts.
pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]

# What the guide asks, and what has the stand-in answer it as a model would.
ANSWERS = {
    "What is the weather in Cairo?": '{{tool get_weather {"city": "Cairo"}}}',
    "كيف الطقس في القاهرة؟": '{{tool get_weather {"city": "القاهرة"}}}',
    "Ali is 30 years old.": '{{say {"name": "Ali", "age": 30}}}',
    "عمر علي 30 سنة.": '{{say {"name": "علي", "age": 30}}}',
    "Draw the values of data.csv as chart.svg.": call("Write", file_path="/desk/chart.svg", content="<svg/>"),
    "ارسم قيم data.csv في chart.svg.": call("Write", file_path="/desk/chart.svg", content="<svg/>"),
}
ROOT = Path(__file__).parent.parent.parent
# Those of the guide where it runs into one, and elsewhere none that its tests reach.
LIMITS = {"rate_limit_enabled": True, "rate_limit_auth_per_minute": 10} | dict.fromkeys(
    (f"rate_limit_{group}per_minute" for group in ("", "chat_", "session_", "health_", "debug_")), 1_000
)
# For the programs that ask their reader.
TYPED = "Hello!\nHow are you?\nexit\n" * 2
SECONDS = 300
# Anthropic's library warns of models that will be gone one day; which ones is not the guide's matter.
PYTHON = (sys.executable, "-W", "error", "-W", "ignore:The model")
CURL = 'set -e; curl() { command curl -sS --fail-with-body "$@"; local status=$?; echo; return $status; }\n'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The MCP server that the guide registers: a real one, which minds no arguments."""
    program = tmp_path_factory.mktemp("mcp") / "mcp-server"
    program.write_text(f"#!/bin/sh\ncd {ROOT} && exec {sys.executable} -m tests.mcp_programs.library\n")
    program.chmod(0o755)
    return program


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory, server: Path) -> AsyncIterator[Gateway]:
    need({**SANDBOX, "curl": "curl", "node": "nodejs"})
    state = tmp_path_factory.mktemp("state")
    readable = ":".join(map(str, (server, ROOT, sys.prefix, sys.base_prefix)))
    programs = {"mcp_allowed_commands": f"{server} --port 3001", "mcp_readable_paths": readable}
    async with (
        stand_in(remember=False) as upstream,
        gateway_on(upstream, state, **programs, **LIMITS) as gateway,
    ):
        yield gateway


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """Where a reader would be, with the files that the examples name."""
    (tmp_path / "photo.png").write_bytes(png(8, 8))
    (tmp_path / "data.csv").write_text("name,value\na,3\nb,5\n")
    return tmp_path


@pytest.mark.promise("guide.examples-run")
@pytest.mark.parametrize("language", GUIDES)
async def test_python_and_requests_of_the_guide_run_and_are_answered_as_it_says(
    running: Gateway, server: Path, desk: Path, language: str
) -> None:
    """The requests ask for what the Python programs left behind."""
    key = await a_key(running)
    await run_python(running, key, desk, [example for example in of(language, "python") if not example.use])
    output = ""
    for example in of(language, "bash", "json", "text"):
        match example.language, example.use.split():
            case "bash", expected:
                commands = CURL + here(running, example, key).replace("/path/to/mcp-server", str(server))
                output = await run(desk, "bash", "-c", commands, fails=expected == ["error"])
            case "json", ["POST", path]:
                output = await post(running, key, path, json.loads(here(running, example)))
            case "json", ["answer"]:
                # Of several commands the last one's answer is the one shown.
                assert missing(json.loads(example.text), json.loads(output.strip().splitlines()[-1])) == [], example
            case "text", ["stream"]:
                assert events(output).keys() == events(example.text).keys(), example
    assert (desk / "chart.svg").read_text() == "<svg/>"


@pytest.mark.promise("guide.examples-run")
@pytest.mark.parametrize("language", GUIDES)
async def test_the_javascript_of_the_guide_runs(running: Gateway, desk: Path, language: str) -> None:
    for example in of(language, "javascript"):
        if not example.use:
            (desk / "guide.mjs").write_text(here(running, example))
            assert (await run(desk, "node", "guide.mjs")).strip(), example


@pytest.mark.promise("guide.examples-run")
@pytest.mark.parametrize("language", GUIDES)
async def test_the_services_of_the_guide_answer(running: Gateway, desk: Path, language: str) -> None:
    asked = {"message": "Hello!", "session_id": "s", "sessionId": "s"}
    for example in of(language, "python", "javascript"):
        if example.use == "service" and example.language == "python":
            ending = f"""
from aiohttp.test_utils import TestClient, TestServer
async def main():
    async with TestClient(TestServer(app)) as caller:
        print((await (await caller.post("/chat", json={asked!r})).json())["reply"])
    await client.close()
import asyncio
asyncio.run(main())
"""
            source = here(running, example).replace('__name__ == "__main__"', "False")
            (desk / "service.py").write_text(source + ending)
            assert "Hello!" in await run(desk, sys.executable, "service.py")
        elif example.use == "service":
            ending = f"""
const request = new Request("http://localhost/", {{ method: "POST", body: JSON.stringify({json.dumps(asked)}) }});
console.log((await (await POST(request)).json()).reply);
"""
            (desk / "service.mjs").write_text(here(running, example) + ending)
            assert "Hello!" in await run(desk, "node", "service.mjs")


async def a_key(gateway: Gateway) -> str:
    """A reader's own: what one language used up is not missing in the other."""
    wanted = {"name": "reader", "scopes": ["chat", "tools", "mcp", "admin"]}
    return str(json.loads(await post(gateway, API_KEY, "/v1/admin/keys", wanted, 201))["key"])


async def run_python(gateway: Gateway, key: str, desk: Path, blocks: list[Example]) -> None:
    """One after the other in one process, for later ones go on with the client of the first."""
    program = "".join(f"\nprint('--', {str(one)!r})\n{here(gateway, one, key)}" for one in blocks)
    (desk / "guide.py").write_text(program)
    output = await run(desk, *PYTHON, "guide.py", typed=TYPED)
    parts = output.split("-- line ")[1:]
    assert len(parts) == len(blocks)
    shown = [part for part, block in zip(parts, blocks, strict=True) if "print(" in block.text]
    assert all(len(part.splitlines()) > 1 for part in shown)


def of(language: str, *languages: str) -> Iterator[Example]:
    return (one for one in examples(GUIDES[language].read_text()) if one.language in languages)


def here(gateway: Gateway, example: Example, key: str = API_KEY) -> str:
    """The example with this gateway's address and key in their places, and what moves the stand-in."""
    text = example.text.replace("http://localhost:8000", gateway.url).replace("your-api-key", key)
    for question, directive in ANSWERS.items():
        text = text.replace(json.dumps(question, ensure_ascii=False), json.dumps(directive, ensure_ascii=False))
    return text


async def run(desk: Path, *command: str, typed: str = "", fails: bool = False) -> str:
    """What a command writes; it must succeed and complain of nothing, or fail where that is what it shows."""
    env = {"PATH": os.environ["PATH"], "HOME": str(desk), "PYTHONUTF8": "1"}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, cwd=desk, env=env, stdin=pipe, stdout=pipe, stderr=pipe)
    async with asyncio.timeout(SECONDS):
        output, complaints = await process.communicate(typed.encode())
    said = output.decode()
    assert fails or complaints == b"", f"{said}\n{complaints.decode()}"
    assert bool(process.returncode) == fails, said
    return said


async def post(gateway: Gateway, key: str, path: str, body: Any, expected: int = 200) -> str:
    headers = {"Authorization": f"Bearer {key}"}
    async with aiohttp.ClientSession() as session, session.post(gateway.url + path, json=body, headers=headers) as one:
        assert one.status == expected, await one.text()
        return await one.text()


def missing(shown: Any, real: Any, where: str = "") -> list[str]:
    """What the guide shows and the answer has not: fields, and the types of what is in them."""
    if isinstance(shown, dict) and isinstance(real, dict):
        lacking = [f"{where}.{name}" for name in shown.keys() - real.keys()]
        both = shown.keys() & real.keys()
        return lacking + [one for name in both for one in missing(shown[name], real[name], f"{where}.{name}")]
    if isinstance(shown, list) and isinstance(real, list) and shown and real:
        return missing(shown[0], real[0], f"{where}[]")
    return [] if type(shown) is type(real) else [f"{where}: {real!r} is no {type(shown).__name__}"]


def events(text: str) -> dict[str, Any]:
    """The fields that the events of a stream have, and how it ends."""
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    parsed = [json.loads(line) for line in lines[:-1]]
    return dict.fromkeys(sorted({name for one in parsed for name in one}))
