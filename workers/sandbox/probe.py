"""Check whether the sandbox works on this machine, by starting a sandbox once."""

import asyncio
import os
import shutil
import tempfile
from pathlib import Path

from workers.sandbox.cli_sandbox import (
    SandboxSpec,
    build_cli_sandbox_command,
    build_command_prefix,
    list_cli_sandbox_programs,
)

_PROBE_TIMEOUT_SECONDS = 20.0
_INSTALL_HINT = "Debian: apt-get install bubblewrap socat ripgrep util-linux bash"
# Command that starts a second sandbox inside of the first sandbox, with memory limits. The CLI runs each command in the
# same way.
_NESTED_COMMAND = "bwrap --unshare-user --unshare-pid --unshare-net --ro-bind / / --proc /proc --dev /dev {} true"


async def find_sandbox_problem(spec: SandboxSpec) -> str | None:
    """Return a line with the reason why the sandbox does not work and the remedy, or None if the sandbox works."""
    if problem := await find_program_problem(list_cli_sandbox_programs(spec)):
        return problem
    shell = await asyncio.to_thread(Path("/bin/sh").resolve)
    workspace = Path(await asyncio.to_thread(tempfile.mkdtemp))
    shell_arguments = ("-c", _NESTED_COMMAND.format(build_command_prefix(spec)))
    try:
        if spec.uid is not None:
            await asyncio.to_thread(os.chown, workspace, spec.uid, spec.uid)
        return await run_probe(build_cli_sandbox_command(spec, shell, shell_arguments, workspace))
    finally:
        await asyncio.to_thread(shutil.rmtree, workspace, ignore_errors=True)


async def find_program_problem(programs: tuple[str, ...]) -> str | None:
    """Return a line that names the programs that are not installed, or None if all are installed."""
    missing = await asyncio.to_thread(_find_missing, programs)
    return f"not installed: {', '.join(missing)} ({_INSTALL_HINT})" if missing else None


async def run_probe(argv: tuple[str, ...]) -> str | None:
    """Run the command line of a sandbox. Return the reason if the command fails, and None if it succeeds."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.environ.get("PATH", "/usr/bin:/bin")},
    )
    try:
        async with asyncio.timeout(_PROBE_TIMEOUT_SECONDS):
            _, stderr = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return f"bubblewrap did not exit within {_PROBE_TIMEOUT_SECONDS:.0f} s"
    if process.returncode == 0:
        return None
    last_line = stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or ["bubblewrap failed"]
    return f"{last_line[0][:200]} (are unprivileged user namespaces allowed here?)"


def _find_missing(programs: tuple[str, ...]) -> list[str]:
    return [name for name in programs if shutil.which(name) is None]
