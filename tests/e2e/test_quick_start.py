"""The programs of the home page's quick start, run as a reader would who has copied them."""

import asyncio
import json
from importlib.resources import files
from pathlib import Path

import pytest

from tests.clients.installs import InstallFailed, node_with
from tests.e2e.conftest import API_KEY, MODEL, Gateway
from tests.e2e.test_guides import PYTHON, run
from tests.installed import need, say_and_skip

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]

SAMPLES = files("claude_gateway.web").joinpath("static/samples.js")


@pytest.mark.promise("pages.quick-start")
async def test_each_program_of_the_quick_start_gets_its_answer(gateway: Gateway, tmp_path: Path) -> None:
    need({"curl": "curl"})
    try:
        # Whose Node.js is newer than the system's: OpenAI's package wants one.
        node = await asyncio.to_thread(node_with, "openai", tmp_path)
    except InstallFailed as error:
        say_and_skip(str(error))
    (tmp_path / "samples.mjs").write_text(SAMPLES.read_text())
    here = json.dumps({"origin": gateway.url, "model": MODEL})
    (tmp_path / "all.mjs").write_text(
        'import { SAMPLES } from "./samples.mjs";\n'
        f"console.log(JSON.stringify(SAMPLES.map(({{ name, text }}) => [name, text({here})])));\n"
    )
    samples = dict(json.loads(await run(tmp_path, str(node), "all.mjs")))
    assert samples.keys() == {"curl", "Python", "JavaScript", "Anthropic", "Gemini"}

    for name, text in samples.items():
        program = text.replace("your-api-key", API_KEY)
        (tmp_path / "sample.mjs").write_text(program)
        (tmp_path / "sample.py").write_text(program)
        match name:
            case "curl":
                output = await run(tmp_path, "bash", "-c", program.replace("curl ", "curl -sS ", 1))
            case "JavaScript":
                output = await run(tmp_path, str(node), "sample.mjs")
            case _:
                output = await run(tmp_path, *PYTHON, "sample.py")
        assert "Hello!" in output, name
