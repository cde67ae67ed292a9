"""The units are well formed and as closed as possible, and a gateway works under them.

systemd does not run here: `confined.py` reads the unit and does the same to a process.
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

from claude_gateway.devtools.fake_anthropic.server import FAKE_API_KEY, FakeAnthropic
from tests.e2e.helpers.gateway_process import read_gateway_url
from tests.installed import SANDBOX_PROGRAMS, install_packages, require_programs, skip_or_fail
from tests.systemd.conftest import run_make_checked

# An installation takes half a minute, and longer on a busy machine.
pytestmark = pytest.mark.timeout(900)

ROOT = Path(__file__).parent.parent.parent
CONFINED = Path(__file__).parent / "confined.py"
ANALYZE = {"systemd-analyze": "systemd"}
MODEL = "claude-sonnet-4-5-20250929"
SANDBOX_PROBLEM_PROGRAM = """
import asyncio
from workers.sandbox.cli_sandbox import SandboxSpec
from workers.sandbox.probe import find_sandbox_problem
print(asyncio.run(find_sandbox_problem(SandboxSpec(None, 10**9, 10**9))) or "a sandbox can be made")
"""


@pytest.fixture(scope="module")
def unit(install_dir: Path) -> Iterator[Path]:
    """Yield the installed service unit, with its program at the path of this test."""
    path = install_dir / "etc/systemd/system/claude-gateway.service"
    text = path.read_text()
    assert "@" not in re.sub(r"^(#|SystemCall).*$", "", text, flags=re.MULTILINE)  # every variable is replaced
    path.write_text(text.replace("ExecStart=/usr/local", f"ExecStart={install_dir}/usr/local"))
    yield path
    path.write_text(text)


@pytest.fixture
def confined() -> None:
    require_programs(SANDBOX_PROGRAMS | ANALYZE)
    if os.geteuid():
        skip_or_fail("only root can do what systemd does")
    if subprocess.run(["/usr/bin/python3", "-c", "import seccomp"], check=False, capture_output=True).returncode:
        install_packages(["python3-seccomp"])
    if subprocess.run(["/usr/bin/python3", "-c", "import seccomp"], check=False, capture_output=True).returncode:
        skip_or_fail("not installed: python3-seccomp")


def build_confined_command(unit: Path, state: Path, *argv: str | Path) -> tuple[str, ...]:
    visible = f"{sys.base_prefix}:{ROOT}:{unit.parents[3]}/usr"
    return ("/usr/bin/python3", str(CONFINED), str(unit), visible, str(state), *map(str, argv))


def test_systemd_finds_no_problem_in_the_units(unit: Path) -> None:
    require_programs(ANALYZE)
    units = [str(unit), str(unit.with_suffix(".socket"))]
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can hide a program")
def test_units_need_no_program_that_a_minimal_system_lacks(unit: Path) -> None:
    """`kill` and the like belong to procps, on which no package here depends."""
    require_programs(ANALYZE | {"unshare": "util-linux"})
    hidden = " ".join(str(path) for name in ("kill", "pkill") if (path := shutil.which(name)))
    hide = f"for program in {hidden}; do mount --bind /dev/null $program; done; "
    verify = f"exec systemd-analyze verify {unit} {unit.with_suffix('.socket')}"
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", hide + verify], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")


def test_exposure_level_is_at_most_2_5(unit: Path) -> None:
    require_programs(ANALYZE)
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=25", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout.splitlines()[-1]
    assert re.search(r"exposure level for claude-gateway.service: [12]\.\d OK", done.stdout)


def test_uninstall_removes_everything_except_the_settings(install_dir: Path, tmp_path: Path) -> None:
    installed = {path.relative_to(install_dir) for path in install_dir.rglob("*") if path.is_file()}
    assert {
        Path("usr/local/bin/claude-gateway"),
        Path("usr/local/share/doc/claude-gateway/deploy.md"),
        Path("etc/systemd/system/claude-gateway.socket"),
        Path("etc/sysusers.d/claude-gateway.conf"),
        Path("etc/tmpfiles.d/claude-gateway.conf"),
    } <= installed
    settings = tmp_path / "etc/claude-gateway/.env"
    for path in installed:
        if not path.is_relative_to("usr/local/lib"):
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(install_dir / path, tmp_path / path)
    settings.write_text("API_KEY=mine\n")

    run_make_checked("uninstall", tmp_path)

    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [settings]
    assert settings.read_text() == "API_KEY=mine\n"


@asynccontextmanager
async def run_installed_gateway(unit: Path, state: Path, upstream: FakeAnthropic) -> AsyncIterator[str]:
    """Run the installed gateway as its unit does, with its keys as credentials of systemd."""
    credentials = state / "credentials"
    credentials.mkdir(parents=True)
    (credentials / "anthropic_api_key").write_text(FAKE_API_KEY)
    (credentials / "api_key").write_text("of-the-clients\n")
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
        *build_confined_command(unit, state, program, "-m", "claude_gateway.cli.main", "serve"),
        env=env,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield await read_gateway_url(process)
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 30) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.e2e
@pytest.mark.promise("systemd.works-confined")
@pytest.mark.usefixtures("confined")
async def test_confined_gateway_chats_and_runs_commands_in_a_sandbox(
    unit: Path, tmp_path: Path, upstream: FakeAnthropic
) -> None:
    state = tmp_path / "state"
    async with (
        run_installed_gateway(unit, state, upstream) as url,
        aiohttp.ClientSession(url, headers={"authorization": "Bearer of-the-clients"}) as session,
    ):
        async with session.get("/") as page:
            assert page.status == 200
        body = {"model": MODEL, "messages": [{"role": "user", "content": "{{say confined}}"}]}
        async with session.post("/v1/chat/completions", json=body) as response:
            assert (await response.json())["choices"][0]["message"]["content"] == "confined"
        command = json.dumps({"command": "echo in $((6 * 7)) sandboxes; touch /usr/x 2>&1"})
        body = {"model": MODEL, "messages": [{"role": "user", "content": f"{{{{tool Bash {command}}}}}"}]}
        async with session.post("/v1/chat/completions", json=body | {"enable_tools": True}) as response:
            assert response.status == 200, await response.text()
    result = json.dumps(upstream.chat_requests[-1].body["messages"][-1])
    assert "in 42 sandboxes" in result
    assert "Read-only file system" in result
    assert state.stat().st_uid == 61998  # the gateway did not run as root


@pytest.mark.usefixtures("confined")
@pytest.mark.parametrize(
    ("permission", "reduced"),
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
def test_sandbox_needs_every_permission_that_the_unit_leaves_open(
    unit: Path, tmp_path: Path, permission: str, reduced: str
) -> None:
    changed = tmp_path / unit.name
    text = unit.read_text()
    assert permission in text
    changed.write_text(text.replace(permission, reduced) if permission else text)

    visible = f"{sys.base_prefix}:{ROOT}:{sys.prefix}"
    argv = (
        "/usr/bin/python3",
        CONFINED,
        changed,
        visible,
        tmp_path / "state",
        sys.executable,
        "-c",
        SANDBOX_PROBLEM_PROGRAM,
    )
    result = subprocess.run(
        argv, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )

    assert (result.stdout.strip() == "a sandbox can be made") is not bool(permission), result.stdout
