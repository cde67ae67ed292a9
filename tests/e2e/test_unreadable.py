"""Files and directories that the gateway's user may not read: one clear line each, whatever was called."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from claude_gateway.demo.upstream import StandIn
from tests.e2e.test_start_and_stop import environment, for_stand_in
from tests.installed import need

pytestmark = pytest.mark.e2e

# Root without the power to read everything is as any other user.
CAPABILITIES = "-dac_override,-dac_read_search"
AS_ANYBODY = ("setpriv", f"--inh-caps={CAPABILITIES}", f"--bounding-set={CAPABILITIES}")
STATE = Path(".local/state/claude-gateway")
COMMANDS = {
    "serve": ["serve"],
    "keys list": ["keys", "list"],
    "keys create": ["keys", "create", "--name", "one"],
    "keys revoke": ["keys", "revoke", "0123456789ab"],
    "usage": ["usage"],
    "backup": ["backup", "copy.db"],
    "restore": ["restore", "before.db"],
    "doctor": ["doctor"],
}
FILES = [".env", "credentials", "credentials/api_key", str(STATE.parent), str(STATE), str(STATE / "gateway.db")]


async def command(directory: Path, upstream: StandIn, arguments: list[str]) -> tuple[int, list[str], str]:
    """Its status, what it said on stderr, and what on stdout."""
    credentials = {"CREDENTIALS_DIRECTORY": str(directory / "credentials")}
    process = await asyncio.create_subprocess_exec(
        *(AS_ANYBODY if os.geteuid() == 0 else ()),
        *(sys.executable, "-m", "claude_gateway.cli", *arguments),
        env=environment(directory, **for_stand_in(upstream), **credentials),
        cwd=directory,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, said = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, said.decode().splitlines(), out.decode()


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a user whose gateway has a key, and a backup of it."""
    directory = tmp_path_factory.mktemp("used")
    (directory / ".env").write_text("VERBOSE=false\n")
    (directory / "credentials").mkdir()
    (directory / "credentials/api_key").write_text("a-key-of-the-callers\n")
    for arguments in (COMMANDS["keys create"], ["backup", "before.db"]):
        gateway = (sys.executable, "-m", "claude_gateway.cli", *arguments)
        subprocess.run(gateway, env=environment(directory), cwd=directory, check=True, capture_output=True)
    return directory


@contextmanager
def forbidden(path: Path) -> Iterator[None]:
    mode = path.stat().st_mode
    path.chmod(0)
    try:
        yield
    finally:
        path.chmod(mode)


@pytest.mark.promise("settings.unreadable")
@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("name", COMMANDS)
async def test_a_file_that_may_not_be_read_is_one_line_in_every_command(
    used: Path, tmp_path: Path, upstream: StandIn, file: str, name: str
) -> None:
    need({"setpriv": "util-linux"})
    directory = Path(shutil.copytree(used, tmp_path / "used"))
    with forbidden(directory / file):
        status, said, found = await command(directory, upstream, COMMANDS[name])

    if name == "doctor" and file.startswith(str(STATE.parent)):  # which looks at everything, and lists what it found
        assert (status, said) == (1, [])
        assert "FAILED" in found
        return
    if name == "restore" and file == str(STATE / "gateway.db"):  # which is put aside, and need not be read
        assert status == 0
        return
    assert status in (1, 2)
    assert len(said) == 1, said
    assert said[0].startswith("claude-gateway: ")
    assert "ermission denied" in said[0] or "unable to open database file" in said[0]
    assert str(directory) in said[0]
