"""The programs of the home page's quick start, as a reader would run them after copying."""

import asyncio
import json
from importlib.resources import files
from pathlib import Path

import pytest

from tests.clients.installs import InstallFailed, install_node_package
from tests.e2e.helpers.commands import PYTHON_COMMAND, run_command
from tests.e2e.helpers.gateway import API_KEY, MODEL, Gateway
from tests.installed import require_programs, skip_or_fail

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]

SAMPLES = files("claude_gateway.web.pages").joinpath("static/samples.js")


@pytest.mark.promise("pages.quick-start")
async def test_each_program_of_the_quick_start_gets_its_reply(gateway: Gateway, tmp_path: Path) -> None:
    require_programs({"curl": "curl"})
    try:
        # OpenAI's package needs a newer Node.js than that of the system.
        node = await asyncio.to_thread(install_node_package, "openai", tmp_path)
    except InstallFailed as error:
        skip_or_fail(str(error))
    (tmp_path / "samples.mjs").write_text(SAMPLES.read_text())
    origin_and_model = json.dumps({"origin": gateway.url, "model": MODEL})
    (tmp_path / "all.mjs").write_text(
        'import { SAMPLES } from "./samples.mjs";\n'
        f"console.log(JSON.stringify(SAMPLES.map(({{ name, text }}) => [name, text({origin_and_model})])));\n"
    )
    samples = dict(json.loads(await run_command(tmp_path, str(node), "all.mjs")))
    assert samples.keys() == {"curl", "Python", "JavaScript", "Anthropic", "Gemini"}

    for name, text in samples.items():
        program = text.replace("your-api-key", API_KEY)
        (tmp_path / "sample.mjs").write_text(program)
        (tmp_path / "sample.py").write_text(program)
        match name:
            case "curl":
                output = await run_command(tmp_path, "bash", "-c", program.replace("curl ", "curl -sS ", 1))
            case "JavaScript":
                output = await run_command(tmp_path, str(node), "sample.mjs")
            case _:
                output = await run_command(tmp_path, *PYTHON_COMMAND, "sample.py")
        assert "Hello!" in output, name
