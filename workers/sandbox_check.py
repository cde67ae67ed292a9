"""Whether this machine can make the box that agents work in, found out by making one."""

import asyncio
import os
import shutil
import tempfile
from pathlib import Path

from workers.sandbox import Box, boxed, limiting, programs

_PATIENCE_SECONDS = 20.0
_PACKAGES = "Debian: apt-get install bubblewrap socat ripgrep util-linux bash"
# What the CLI does for each command: a second box within the first, and in it the limits.
_INNER = "bwrap --unshare-user --unshare-pid --unshare-net --ro-bind / / --proc /proc --dev /dev {} true"


async def complaint(box: Box) -> str | None:
    """Why there can be none, in a line with what to do; None where there can."""
    if lacking := await not_installed(programs(box)):
        return lacking
    shell = await asyncio.to_thread(Path("/bin/sh").resolve)
    work = Path(await asyncio.to_thread(tempfile.mkdtemp))
    try:
        if box.user is not None:
            await asyncio.to_thread(os.chown, work, box.user, box.user)
        return await tried(boxed(box, shell, ("-c", _INNER.format(limiting(box))), work))
    finally:
        await asyncio.to_thread(shutil.rmtree, work, ignore_errors=True)


async def not_installed(names: tuple[str, ...]) -> str | None:
    missing = await asyncio.to_thread(_missing, names)
    return f"not installed: {', '.join(missing)} ({_PACKAGES})" if missing else None


async def tried(argv: tuple[str, ...]) -> str | None:
    """Why such a box cannot be made, None where it can."""
    child = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.environ.get("PATH", "/usr/bin:/bin")},
    )
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            _, said = await child.communicate()
    except TimeoutError:
        child.kill()
        await child.wait()
        return "bubblewrap did not come to an end"
    if child.returncode == 0:
        return None
    last = said.decode("utf-8", "replace").strip().splitlines()[-1:] or ["bubblewrap failed"]
    return f"{last[0][:200]} (are unprivileged user namespaces allowed here?)"


def _missing(names: tuple[str, ...]) -> list[str]:
    return [name for name in names if shutil.which(name) is None]
