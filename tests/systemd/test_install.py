"""`make install` where a gateway runs: beside it, and back again; and what stops it before anything has changed."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from claude_gateway.demo.upstream import StandIn
from tests.e2e.test_start_and_stop import address, children, environment, for_stand_in
from tests.installed import need
from tests.systemd.conftest import make, must_make, python

pytestmark = pytest.mark.timeout(900)

VERSIONS = "usr/local/lib/claude-gateway-versions"


def in_use(destination: Path) -> Path:
    return (destination / "usr/local/lib/claude-gateway").resolve(strict=True)


def versions(destination: Path) -> set[str]:
    return {path.name for path in (destination / VERSIONS).iterdir() if not path.is_symlink()}


def everything(destination: Path) -> set[tuple[Path, int]]:
    """Each file and directory, and which one it is."""
    return {(path.relative_to(destination), path.lstat().st_ino) for path in destination.rglob("*")}


def test_leaves_nothing_in_the_checkout(installed: Path, checkout: Path) -> None:
    listed = subprocess.run(
        ["find", checkout, "-name", "build", "-o", "-name", "*.egg-info", "-o", "-name", "*.pyc"],
        check=True,
        capture_output=True,
    )

    assert installed.exists()
    assert listed.stdout == b""


def test_everybody_may_read_what_it_installs(installed: Path) -> None:
    own = {path for path in installed.rglob("*") if not path.is_symlink() and not path.stat().st_mode & 0o004}

    assert own == {installed / "etc/claude-gateway/.env"}


@pytest.mark.promise("install.beside")
def test_a_new_version_stands_beside_the_running_one_until_the_link_is_put_on_it(copied: Path, checkout: Path) -> None:
    old = in_use(copied)
    before = everything(old)
    (copied / VERSIONS / "0.0.8-1").mkdir()
    (copied / VERSIONS / "0.0.9-1").mkdir()
    running = copied / VERSIONS / "0.0.9-1/bin/python"  # of which the arguments of a process tell
    with subprocess.Popen([sys.executable, "-c", "input()", running], stdin=subprocess.PIPE) as process:
        must_make("install", copied, checkout=checkout)
        process.communicate(b"\n")

    new = in_use(copied)
    assert new != old
    assert everything(old) == before
    assert (copied / VERSIONS / "previous").resolve() == old
    assert versions(copied) == {old.name, new.name, "0.0.9-1"}
    said = subprocess.run(
        [new / "bin/python", "-I", "-m", "claude_gateway.cli", "environment"], check=True, capture_output=True
    )
    assert b"API_KEY" in said.stdout

    must_make("rollback", copied, checkout=checkout)
    assert in_use(copied) == old
    must_make("rollback", copied, checkout=checkout)
    assert in_use(copied) == new


def test_a_running_gateway_runs_by_the_path_of_its_own_version(installed: Path) -> None:
    """Else what it loads later would be of another version, once the link is put on that."""
    program = (in_use(installed) / "bin/claude-gateway").read_text()

    assert f"exec /{VERSIONS}/{in_use(installed).name}/bin/python" in program


@pytest.mark.e2e
@pytest.mark.promise("install.beside")
async def test_a_running_gateway_has_new_workers_although_the_link_leads_elsewhere(
    copied: Path, tmp_path: Path, upstream: StandIn
) -> None:
    script = (in_use(copied) / "bin/claude-gateway").read_text()
    program = tmp_path / "claude-gateway"
    program.write_text(script.replace("exec /", f"exec {copied}/"))
    process = await asyncio.create_subprocess_exec(
        *("sh", program, "serve"),
        env=environment(tmp_path, **for_stand_in(upstream)),
        cwd=tmp_path,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        url = await address(process)
        link = copied / "usr/local/lib/claude-gateway"
        link.unlink()
        link.symlink_to("nowhere")
        for worker in children(process.pid):
            os.kill(worker, signal.SIGKILL)
        asked = {"model": "sonnet", "messages": [{"role": "user", "content": "{{say still here}}"}]}
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{url}/v1/chat/completions", json=asked) as answer,
        ):
            assert answer.status == 200, await answer.text()
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), 30)


@pytest.mark.promise("install.beside")
def test_an_installation_that_fails_changes_nothing(
    copied: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"NO_INDEX": "1", "FIND_LINKS": "/nowhere", "CONFIG_FILE": os.devnull}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    before = everything(copied)

    done = make("install", copied, checkout=checkout)

    assert done.returncode != 0
    assert everything(copied) == before


def test_an_old_python_is_named_before_anything_is_done(tmp_path: Path, checkout: Path) -> None:
    old = tmp_path / "python3.9"
    old.write_text('#!/bin/sh\ntest "$1" = -V && echo Python 3.9.2\n')
    old.chmod(0o700)
    destination = tmp_path / "destination"

    done = make("install", destination, checkout=checkout, PYTHON=str(old))

    assert done.returncode != 0
    assert "Python 3.11" in done.stderr
    assert "3.9.2" in done.stderr
    assert not destination.exists()


def test_there_is_nothing_to_go_back_to_after_the_first_one(copied: Path) -> None:
    before = everything(copied)

    done = make("rollback", copied)

    assert done.returncode != 0
    assert "no version to go back to" in done.stderr
    assert everything(copied) == before


def test_who_is_not_root_is_told_so_before_anything_is_done(checkout: Path) -> None:
    need({"unshare": "util-linux"})
    install = ["unshare", "--user", "sh", "deploy/install.sh", "install"]
    env = {"PATH": os.environ["PATH"], "PREFIX": "/usr/local", "SYSCONFDIR": "/etc", "DESTDIR": "", "PYTHON": python()}
    done = subprocess.run(install, cwd=checkout, env=env, capture_output=True, text=True, check=False)

    assert done.returncode != 0
    assert done.stderr.startswith("claude-gateway: run this as root")
