"""`make install` beside a running gateway, `make rollback`, and failures that leave everything unchanged."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from claude_gateway.devtools.fake_anthropic.server import FakeAnthropic
from tests.e2e.helpers.gateway_process import build_process_env, fake_api_env, read_gateway_url
from tests.e2e.helpers.processes import list_child_pids
from tests.installed import require_programs
from tests.systemd.conftest import find_python, run_make, run_make_checked

pytestmark = pytest.mark.timeout(900)

VERSIONS = "usr/local/lib/claude-gateway-versions"


def current_version(destination: Path) -> Path:
    return (destination / "usr/local/lib/claude-gateway").resolve(strict=True)


def list_versions(destination: Path) -> set[str]:
    return {path.name for path in (destination / VERSIONS).iterdir() if not path.is_symlink()}


def list_inodes(destination: Path) -> set[tuple[Path, int]]:
    """Return each file and directory with its inode number."""
    return {(path.relative_to(destination), path.lstat().st_ino) for path in destination.rglob("*")}


def test_install_leaves_no_files_in_the_checkout(install_dir: Path, checkout: Path) -> None:
    leftovers = subprocess.run(
        ["find", checkout, "-name", "build", "-o", "-name", "*.egg-info", "-o", "-name", "*.pyc"],
        check=True,
        capture_output=True,
    )

    assert install_dir.exists()
    assert leftovers.stdout == b""


def test_every_user_may_read_the_installed_files_except_the_settings(install_dir: Path) -> None:
    unreadable = {path for path in install_dir.rglob("*") if not path.is_symlink() and not path.stat().st_mode & 0o004}

    assert unreadable == {install_dir / "etc/claude-gateway/.env"}


@pytest.mark.promise("install.beside")
def test_install_keeps_the_previous_and_running_versions_and_rollback_switches_back(
    install_copy: Path, checkout: Path
) -> None:
    old = current_version(install_copy)
    before = list_inodes(old)
    (install_copy / VERSIONS / "0.0.8-1").mkdir()
    (install_copy / VERSIONS / "0.0.9-1").mkdir()
    running = install_copy / VERSIONS / "0.0.9-1/bin/python"  # the installer finds it in the arguments of a process
    with subprocess.Popen([sys.executable, "-c", "input()", running], stdin=subprocess.PIPE) as process:
        run_make_checked("install", install_copy, checkout=checkout)
        process.communicate(b"\n")

    new = current_version(install_copy)
    assert new != old
    assert list_inodes(old) == before
    assert (install_copy / VERSIONS / "previous").resolve() == old
    assert list_versions(install_copy) == {old.name, new.name, "0.0.9-1"}
    environment = subprocess.run(
        [new / "bin/python", "-I", "-m", "claude_gateway.cli.main", "environment"], check=True, capture_output=True
    )
    assert b"API_KEY" in environment.stdout

    run_make_checked("rollback", install_copy, checkout=checkout)
    assert current_version(install_copy) == old
    run_make_checked("rollback", install_copy, checkout=checkout)
    assert current_version(install_copy) == new


def test_gateway_runs_from_the_path_of_its_own_version(install_dir: Path) -> None:
    """Otherwise the gateway would load modules of another version once the link points to that."""
    program = (current_version(install_dir) / "bin/claude-gateway").read_text()

    assert f"exec /{VERSIONS}/{current_version(install_dir).name}/bin/python" in program


@pytest.mark.e2e
@pytest.mark.promise("install.beside")
async def test_running_gateway_starts_new_workers_after_the_link_has_moved(
    install_copy: Path, tmp_path: Path, upstream: FakeAnthropic
) -> None:
    script = (current_version(install_copy) / "bin/claude-gateway").read_text()
    program = tmp_path / "claude-gateway"
    program.write_text(script.replace("exec /", f"exec {install_copy}/"))
    process = await asyncio.create_subprocess_exec(
        *("sh", program, "serve"),
        env=build_process_env(tmp_path, **fake_api_env(upstream)),
        cwd=tmp_path,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        url = await read_gateway_url(process)
        link = install_copy / "usr/local/lib/claude-gateway"
        link.unlink()
        link.symlink_to("nowhere")
        for worker in list_child_pids(process.pid):
            os.kill(worker, signal.SIGKILL)
        body = {"model": "sonnet", "messages": [{"role": "user", "content": "{{say still here}}"}]}
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{url}/v1/chat/completions", json=body) as response,
        ):
            assert response.status == 200, await response.text()
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), 30)


@pytest.mark.promise("install.beside")
def test_failed_install_changes_nothing(install_copy: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"NO_INDEX": "1", "FIND_LINKS": "/nowhere", "CONFIG_FILE": os.devnull}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    before = list_inodes(install_copy)

    done = run_make("install", install_copy, checkout=checkout)

    assert done.returncode != 0
    assert list_inodes(install_copy) == before


def test_install_rejects_an_old_python_before_any_change(tmp_path: Path, checkout: Path) -> None:
    old = tmp_path / "python3.9"
    old.write_text('#!/bin/sh\ntest "$1" = -V && echo Python 3.9.2\n')
    old.chmod(0o700)
    destination = tmp_path / "destination"

    done = run_make("install", destination, checkout=checkout, PYTHON=str(old))

    assert done.returncode != 0
    assert "Python 3.11" in done.stderr
    assert "3.9.2" in done.stderr
    assert not destination.exists()


def test_rollback_after_the_first_install_fails_and_changes_nothing(install_copy: Path) -> None:
    before = list_inodes(install_copy)

    done = run_make("rollback", install_copy)

    assert done.returncode != 0
    assert "no version to go back to" in done.stderr
    assert list_inodes(install_copy) == before


def test_install_without_root_fails_before_any_change(checkout: Path) -> None:
    require_programs({"unshare": "util-linux"})
    install = ["unshare", "--user", "sh", "deploy/install.sh", "install"]
    env = {
        "PATH": os.environ["PATH"],
        "PREFIX": "/usr/local",
        "SYSCONFDIR": "/etc",
        "DESTDIR": "",
        "PYTHON": find_python(),
    }
    done = subprocess.run(install, cwd=checkout, env=env, capture_output=True, text=True, check=False)

    assert done.returncode != 0
    assert done.stderr.startswith("claude-gateway: run this as root")
