"""Files and directories that the user of the gateway may not read: every command reports them in one clear line."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from claude_gateway.devtools.fake_anthropic.server import FakeAnthropic
from tests.e2e.helpers.gateway_process import build_process_env, fake_api_env
from tests.installed import require_programs

pytestmark = pytest.mark.e2e

# Root without the capability to read every file behaves like any other user.
CAPABILITIES = "-dac_override,-dac_read_search"
AS_ORDINARY_USER = ("setpriv", f"--inh-caps={CAPABILITIES}", f"--bounding-set={CAPABILITIES}")
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


async def run_cli(directory: Path, upstream: FakeAnthropic, arguments: list[str]) -> tuple[int, list[str], str]:
    """Run a command, and return its status, the lines of stderr, and stdout."""
    credentials = {"CREDENTIALS_DIRECTORY": str(directory / "credentials")}
    process = await asyncio.create_subprocess_exec(
        *(AS_ORDINARY_USER if os.geteuid() == 0 else ()),
        *(sys.executable, "-m", "claude_gateway.cli.main", *arguments),
        env=build_process_env(directory, **fake_api_env(upstream), **credentials),
        cwd=directory,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    stdout, stderr = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, stderr.decode().splitlines(), stdout.decode()


@pytest.fixture(scope="module")
def used_state_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of a user whose gateway has a key, and a backup of it."""
    directory = tmp_path_factory.mktemp("used")
    (directory / ".env").write_text("VERBOSE=false\n")
    (directory / "credentials").mkdir()
    (directory / "credentials/api_key").write_text("a-key-of-the-clients\n")
    for arguments in (COMMANDS["keys create"], ["backup", "before.db"]):
        gateway = (sys.executable, "-m", "claude_gateway.cli.main", *arguments)
        subprocess.run(gateway, env=build_process_env(directory), cwd=directory, check=True, capture_output=True)
    return directory


@contextmanager
def unreadable(path: Path) -> Iterator[None]:
    mode = path.stat().st_mode
    path.chmod(0)
    try:
        yield
    finally:
        path.chmod(mode)


@pytest.mark.promise("settings.unreadable")
@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("name", COMMANDS)
async def test_unreadable_file_is_reported_in_one_line_by_every_command(
    used_state_dir: Path, tmp_path: Path, upstream: FakeAnthropic, file: str, name: str
) -> None:
    require_programs({"setpriv": "util-linux"})
    directory = Path(shutil.copytree(used_state_dir, tmp_path / "used"))
    with unreadable(directory / file):
        status, lines, stdout = await run_cli(directory, upstream, COMMANDS[name])

    if name == "doctor" and file.startswith(str(STATE.parent)):  # the doctor lists it among its findings
        assert (status, lines) == (1, [])
        assert "FAILED" in stdout
        return
    if name == "restore" and file == str(STATE / "gateway.db"):  # restore moves the old database away unread
        assert status == 0
        return
    assert status in (1, 2)
    assert len(lines) == 1, lines
    assert lines[0].startswith("claude-gateway: ")
    assert "ermission denied" in lines[0] or "unable to open database file" in lines[0]
    assert str(directory) in lines[0]
