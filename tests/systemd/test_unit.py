"""The units: well formed, closed as far as can be, and a gateway that still works behind them.

No systemd runs here: what its unit does to a process is done by `confined.py`, from the same file.
"""

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from claude_gateway.demo.upstream import STAND_IN_KEY, StandIn
from tests.e2e.test_start_and_stop import address
from tests.installed import SANDBOX, need, say_and_skip
from tests.systemd.conftest import must_make

# To install takes half a minute, and longer on a machine that has other work.
pytestmark = pytest.mark.timeout(900)

ROOT = Path(__file__).parent.parent.parent
CONFINED = Path(__file__).parent / "confined.py"
ANALYZE = {"systemd-analyze": "systemd"}
MODEL = "claude-sonnet-4-5-20250929"
BOX = """
import asyncio
from workers import sandbox_check
from workers.sandbox import Box
print(asyncio.run(sandbox_check.complaint(Box(None, 10**9, 10**9))) or "a box can be made")
"""


@pytest.fixture(scope="module")
def unit(installed: Path) -> Iterator[Path]:
    """The service as it was installed, with its program where it is for this test."""
    path = installed / "etc/systemd/system/claude-gateway.service"
    text = path.read_text()
    assert "@" not in re.sub(r"^(#|SystemCall).*$", "", text, flags=re.MULTILINE)  # every place is filled in
    path.write_text(text.replace("ExecStart=/usr/local", f"ExecStart={installed}/usr/local"))
    yield path
    path.write_text(text)


@pytest.fixture
def confined() -> None:
    need(SANDBOX | ANALYZE)
    if os.geteuid():
        say_and_skip("only root can do what systemd does")
    if subprocess.run(["/usr/bin/python3", "-c", "import seccomp"], check=False, capture_output=True).returncode:
        subprocess.run(["apt-get", "install", "-qy", "python3-seccomp"], check=False, capture_output=True, timeout=300)
    if subprocess.run(["/usr/bin/python3", "-c", "import seccomp"], check=False, capture_output=True).returncode:
        say_and_skip("not installed: python3-seccomp")


def as_unit(unit: Path, state: Path, *argv: str | Path) -> tuple[str, ...]:
    visible = f"{sys.base_prefix}:{ROOT}:{unit.parents[3]}/usr"
    return ("/usr/bin/python3", str(CONFINED), str(unit), visible, str(state), *map(str, argv))


def test_systemd_finds_no_fault_with_the_units(unit: Path) -> None:
    need(ANALYZE)
    units = [str(unit), str(unit.with_suffix(".socket"))]
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can hide a program")
def test_the_units_need_no_program_that_a_small_system_lacks(unit: Path) -> None:
    """`kill` and the like are of procps, which no package here asks for."""
    need(ANALYZE | {"unshare": "util-linux"})
    hidden = " ".join(str(path) for name in ("kill", "pkill") if (path := shutil.which(name)))
    hide = f"for program in {hidden}; do mount --bind /dev/null $program; done; "
    verify = f"exec systemd-analyze verify {unit} {unit.with_suffix('.socket')}"
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", hide + verify], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")


def test_its_exposure_is_at_most_2_5(unit: Path) -> None:
    need(ANALYZE)
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=25", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout.splitlines()[-1]
    assert re.search(r"exposure level for claude-gateway.service: [12]\.\d OK", done.stdout)


def test_what_is_installed_goes_again_and_settings_stay(installed: Path, tmp_path: Path) -> None:
    made = {path.relative_to(installed) for path in installed.rglob("*") if path.is_file()}
    assert {
        Path("usr/local/bin/claude-gateway"),
        Path("usr/local/share/doc/claude-gateway/deploy.md"),
        Path("etc/systemd/system/claude-gateway.socket"),
        Path("etc/sysusers.d/claude-gateway.conf"),
        Path("etc/tmpfiles.d/claude-gateway.conf"),
    } <= made
    settings = tmp_path / "etc/claude-gateway/.env"
    for path in made:
        if not path.is_relative_to("usr/local/lib"):
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(installed / path, tmp_path / path)
    settings.write_text("API_KEY=mine\n")

    must_make("uninstall", tmp_path)

    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [settings]
    assert settings.read_text() == "API_KEY=mine\n"


@asynccontextmanager
async def serving(unit: Path, state: Path, upstream: StandIn) -> AsyncIterator[str]:
    """What was installed, as its unit runs it; its keys come as systemd's credentials do."""
    credentials = state / "credentials"
    credentials.mkdir(parents=True)
    (credentials / "anthropic_api_key").write_text(STAND_IN_KEY)
    (credentials / "api_key").write_text("of-the-callers\n")
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(state),
        "STATE_DIR": str(state / "gateway"),
        "CREDENTIALS_DIRECTORY": str(credentials),
        "CLAUDE_WRAPPER_HOST": "127.0.0.1",
        "PORT": "0",
        "CLAUDE_AUTH_METHOD": "api_key",
        "ANTHROPIC_BASE_URL": upstream.url,
    }
    program = unit.parents[3] / "usr/local/lib/claude-gateway/bin/python"
    process = await asyncio.create_subprocess_exec(
        *as_unit(unit, state, program, "-m", "claude_gateway.cli", "serve"), env=env, stderr=asyncio.subprocess.PIPE
    )
    try:
        yield await address(process)
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 30) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.e2e
@pytest.mark.promise("systemd.works-confined")
@pytest.mark.usefixtures("confined")
async def test_a_gateway_confined_as_its_unit_says_chats_and_runs_commands_in_a_box(
    unit: Path, tmp_path: Path, upstream: StandIn
) -> None:
    state = tmp_path / "state"
    async with (
        serving(unit, state, upstream) as url,
        aiohttp.ClientSession(url, headers={"authorization": "Bearer of-the-callers"}) as session,
    ):
        async with session.get("/") as page:
            assert page.status == 200
        asked = {"model": MODEL, "messages": [{"role": "user", "content": "{{say confined}}"}]}
        async with session.post("/v1/chat/completions", json=asked) as answer:
            assert (await answer.json())["choices"][0]["message"]["content"] == "confined"
        command = json.dumps({"command": "echo in $((6 * 7)) boxes; touch /usr/x 2>&1"})
        asked = {"model": MODEL, "messages": [{"role": "user", "content": f"{{{{tool Bash {command}}}}}"}]}
        async with session.post("/v1/chat/completions", json=asked | {"enable_tools": True}) as answer:
            assert answer.status == 200, await answer.text()
    told = json.dumps(upstream.chats[-1].body["messages"][-1])
    assert "in 42 boxes" in told
    assert "Read-only file system" in told
    assert state.stat().st_uid == 61998  # nothing of it was root's


@pytest.mark.usefixtures("confined")
@pytest.mark.parametrize(
    ("closed", "instead"),
    [
        ("RestrictNamespaces=user pid ipc mnt net", "RestrictNamespaces=user pid ipc mnt"),
        ("RestrictNamespaces=user pid ipc mnt net", "RestrictNamespaces=pid ipc mnt net"),
        ("SystemCallFilter=@system-service @mount", "SystemCallFilter=@system-service"),
        (
            "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
            "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6",
        ),
        ("", ""),
    ],
    ids=["networks", "users", "mounts", "netlink", "as it is"],
)
def test_what_the_unit_leaves_open_the_box_needs(unit: Path, tmp_path: Path, closed: str, instead: str) -> None:
    changed = tmp_path / unit.name
    text = unit.read_text()
    assert closed in text
    changed.write_text(text.replace(closed, instead) if closed else text)

    visible = f"{sys.base_prefix}:{ROOT}:{sys.prefix}"
    argv = ("/usr/bin/python3", CONFINED, changed, visible, tmp_path / "state", sys.executable, "-c", BOX)
    said = subprocess.run(argv, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})

    assert (said.stdout.strip() == "a box can be made") is not bool(closed), said.stdout
