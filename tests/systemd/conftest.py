"""Fixtures: a program that `make install` installed once for all tests of this folder."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


def find_python() -> str:
    """Return the system's Python, which the user of the service may run, or that of this test."""
    system = "/usr/bin/python3"
    check = "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))"
    if shutil.which(system) and not subprocess.run([system, "-c", check], check=False, capture_output=True).returncode:
        return system
    return str(Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}")


def run_make(
    target: str, destination: Path, *, checkout: Path = ROOT, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a target of the Makefile with a DESTDIR, so that nothing of this machine changes."""
    all_variables = {"DESTDIR": str(destination), "PYTHON": find_python()} | variables
    command = ["make", "-C", str(checkout), target, *(f"{name}={value}" for name, value in all_variables.items())]
    # The umask of a careful administrator: the installed files must be readable for other users all the same.
    return subprocess.run(command, capture_output=True, text=True, check=False, umask=0o077)


def run_make_checked(target: str, destination: Path, *, checkout: Path = ROOT) -> None:
    done = run_make(target, destination, checkout=checkout)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the repository's files, without files that builds made."""
    copy = tmp_path_factory.mktemp("checkout")
    git_files = subprocess.run(
        ["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True
    )
    for name in filter(None, git_files.stdout.decode().split("\0")):
        if (ROOT / name).exists():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    return copy


@pytest.fixture(scope="session")
def install_dir(tmp_path_factory: pytest.TempPathFactory, checkout: Path) -> Iterator[Path]:
    """Return the directory under which the program was installed."""
    destination = tmp_path_factory.mktemp("destination")
    run_make_checked("install", destination, checkout=checkout)
    yield destination
    shutil.rmtree(destination)


@pytest.fixture
def install_copy(install_dir: Path, tmp_path: Path) -> Path:
    """Return a copy of the installation that a test may change; its files are hard links, which no test writes to."""
    destination = tmp_path / "destination"
    subprocess.run(["cp", "-al", install_dir, destination], check=True)
    return destination
