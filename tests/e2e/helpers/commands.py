"""Run the commands of the documents."""

import asyncio
import os
import sys
from pathlib import Path

TIMEOUT_SECONDS = 300
# Anthropic's library warns of models near their end of life; the guide's examples do not depend on that.
PYTHON_COMMAND = (sys.executable, "-W", "error", "-W", "ignore:The model")


async def run_command(directory: Path, *command: str, typed: str = "", fails: bool = False) -> str:
    """Run a command, and return its output.

    It must succeed without writing to stderr, or fail if `fails`.
    """
    env = {"PATH": os.environ["PATH"], "HOME": str(directory), "PYTHONUTF8": "1"}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, cwd=directory, env=env, stdin=pipe, stdout=pipe, stderr=pipe
    )
    async with asyncio.timeout(TIMEOUT_SECONDS):
        stdout, stderr = await process.communicate(typed.encode())
    output = stdout.decode()
    assert fails or stderr == b"", f"{output}\n{stderr.decode()}"
    assert bool(process.returncode) == fails, output
    return output
