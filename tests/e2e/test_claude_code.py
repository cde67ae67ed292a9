"""Claude Code itself as a caller: the same binary, run as a person runs it, pointed at the gateway."""

import asyncio
import os
from pathlib import Path

import pytest

from claude_gateway.app import bundled_cli
from tests.e2e.conftest import API_KEY, MODEL, Gateway

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]


async def claude(gateway: Gateway, home: Path, *arguments: str) -> tuple[int, str]:
    """Run `claude -p …` in an empty home, with the gateway as its API; returns its status and output."""
    process = await asyncio.create_subprocess_exec(
        *(str(bundled_cli()), "-p", "--model", MODEL, *arguments),
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "ANTHROPIC_BASE_URL": gateway.url,
            "ANTHROPIC_API_KEY": API_KEY,
            "CLAUDE_CONFIG_DIR": str(home / "config"),
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
            "IS_SANDBOX": "1",
        },
        cwd=home,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(60):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, output.decode()


@pytest.mark.promise("clients.claude-code")
async def test_claude_code_gets_its_answer(gateway: Gateway, tmp_path: Path) -> None:
    status, output = await claude(gateway, tmp_path, "Say {{say hello from the stand-in}}")
    assert (status, output.splitlines()[-1]) == (0, "hello from the stand-in")


async def test_claude_code_runs_its_own_tool_and_gives_the_result_back(gateway: Gateway, tmp_path: Path) -> None:
    note = tmp_path / "note.txt"
    note.write_text("what the file says")
    prompt = f'Read it {{{{tool Read {{"file_path":"{note}"}}}}}}'
    status, output = await claude(gateway, tmp_path, prompt, "--allowedTools", "Read")
    assert status == 0, output
    results = [
        block
        for message in gateway.upstream.chats[-1].body["messages"]
        if not isinstance(message["content"], str)
        for block in message["content"]
        if block["type"] == "tool_result"
    ]
    assert "what the file says" in str(results)
