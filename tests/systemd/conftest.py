"""A program that was installed by `make install`, once for all tests here."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


def python() -> str:
    """The system's own, which the service's user may run; or that of this test."""
    system = "/usr/bin/python3"
    wanted = "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))"
    if shutil.which(system) and not subprocess.run([system, "-c", wanted], check=False, capture_output=True).returncode:
        return system
    return str(Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}")


def make(verb: str, destination: Path, *, checkout: Path = ROOT, **variables: str) -> subprocess.CompletedProcess[str]:
    """A verb of the Makefile; nothing of this machine is touched."""
    given = {"DESTDIR": str(destination), "PYTHON": python()} | variables
    command = ["make", "-C", str(checkout), verb, *(f"{name}={value}" for name, value in given.items())]
    # With the umask of a careful administrator: what is installed must be readable all the same.
    return subprocess.run(command, capture_output=True, text=True, check=False, umask=0o077)


def must_make(verb: str, destination: Path, *, checkout: Path = ROOT) -> None:
    done = make(verb, destination, checkout=checkout)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is in the repository, and nothing that was made here."""
    copy = tmp_path_factory.mktemp("checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).exists():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    return copy


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory, checkout: Path) -> Iterator[Path]:
    """The directory that it was installed under."""
    destination = tmp_path_factory.mktemp("destination")
    must_make("install", destination, checkout=checkout)
    yield destination
    shutil.rmtree(destination)


@pytest.fixture
def copied(installed: Path, tmp_path: Path) -> Path:
    """The same to be changed: links to the files, which nothing writes to."""
    destination = tmp_path / "destination"
    subprocess.run(["cp", "-al", installed, destination], check=True)
    return destination
