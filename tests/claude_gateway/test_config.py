"""Where settings come from, what cannot be one, and what never shows."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from claude_gateway.config import FixedSettings, Settings
from claude_gateway.config.renewal import complaints
from tests.claude_gateway.scripted import settings
from workers.settings import AuthMethod

SECRETS = ("api_key", "anthropic_api_key", "claude_code_oauth_token", "aws_access_key_id", "aws_secret_access_key")
PRINT = """
import json
from claude_gateway.config import FixedSettings, Settings
from claude_gateway.config.renewal import complaints
settings = Settings()
key = settings.api_key
print(json.dumps([settings.port, key and key.get_secret_value(), settings.verbose, str(settings.state_dir)]))
"""


def read_by_a_process(directory: Path, env_file: str, **environment: str) -> list[Any]:
    """What a gateway started in a directory with this `.env` and environment would read."""
    (directory / ".env").write_text(env_file)
    variables = {"PATH": os.environ["PATH"], "HOME": "/home/of-a-test", **environment}
    ran = subprocess.run(
        [sys.executable, "-c", PRINT], cwd=directory, env=variables, capture_output=True, check=True, timeout=60
    )
    found: list[Any] = json.loads(ran.stdout)
    return found


@pytest.mark.promise("settings.sources")
def test_the_environment_goes_before_the_env_file_and_that_before_the_default(tmp_path: Path) -> None:
    found = read_by_a_process(tmp_path, "PORT=1111\nAPI_KEY=from-file\nUNKNOWN=1\n", PORT="2222", verbose="yes")

    assert found == [2222, "from-file", True, "/home/of-a-test/.local/state/claude-gateway"]


def test_a_credential_from_systemd_takes_the_place_of_what_is_set_nowhere_else(tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "api_key").write_text("from-systemd\n")
    (credentials / "port").write_text("3333")

    found = read_by_a_process(tmp_path, "PORT=1111\n", CREDENTIALS_DIRECTORY=str(credentials))

    assert found[:2] == [1111, "from-systemd"]


def test_a_line_left_blank_means_the_default(tmp_path: Path) -> None:
    found = read_by_a_process(tmp_path, "PORT=\nAPI_KEY=\nVERBOSE=\n", STATE_DIR="", XDG_STATE_HOME="/xdg")

    assert found == [8000, None, False, "/xdg/claude-gateway"]


@pytest.mark.parametrize("blank", ["", "  ", "\t\n"])
@pytest.mark.parametrize("name", ["api_key", "anthropic_api_key"])
def test_a_blank_key_is_none(name: str, blank: str) -> None:
    assert getattr(settings(**{name: SecretStr(blank)}), name) is None


@pytest.mark.promise("settings.secrets")
def test_no_secret_shows_in_a_repr_or_a_dump() -> None:
    secret = "do-not-show"
    held = settings(**{name: SecretStr(secret) for name in SECRETS})
    launch = held.launch(Path("claude"))

    assert launch.credentials["ANTHROPIC_API_KEY"] == secret
    for shown in (repr(held), str(held), str(held.model_dump()), held.model_dump_json(), repr(launch)):
        assert secret not in shown


@pytest.mark.parametrize(
    "name", [name for name in Settings.model_fields if re.search("key|token", name.removesuffix("_per_key"))]
)
def test_every_key_and_token_is_a_secret(name: str) -> None:
    assert Settings.model_fields[name].annotation == SecretStr | None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", 70_000),
        ("port", "eighty"),
        ("chat_workers", 0),
        ("queue_limit", -1),
        ("max_timeout", 0),
        ("heartbeat_seconds", 0),
        ("claude_auth_method", "password"),
        ("debug_mode", "perhaps"),
        ("max_request_size", "10MB"),
        ("model_aliases", "gpt-4o"),
    ],
)
def test_a_value_that_cannot_be_is_named_by_its_setting_without_its_value(name: str, value: object) -> None:
    with pytest.raises(ValidationError) as raised:
        settings(**{name: value})

    assert [error["loc"] for error in raised.value.errors()] == [(name,)]
    assert name in str(raised.value)
    assert f"input_value={value!r}" not in str(raised.value)


@pytest.mark.parametrize("name", ["SESSION_TTL_SECONDS", "SESSION_TTL", "session_ttl"])
def test_the_life_of_a_session_has_two_names(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "60")

    assert settings().sessions().ttl == 60
    assert settings(session_ttl_seconds=5).sessions().ttl == 5


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        settings().port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("chosen", "method"),
    [
        ({"claude_auth_method": "cli"}, AuthMethod.CLI),
        ({"claude_auth_method": "cli", "claude_code_use_bedrock": True}, AuthMethod.BEDROCK),
        ({"claude_auth_method": "cli", "claude_code_use_vertex": True}, AuthMethod.VERTEX),
        ({"claude_auth_method": "api_key", "claude_code_use_bedrock": True}, AuthMethod.API_KEY),
    ],
)
def test_the_switches_of_claude_code_choose_the_login_too(chosen: dict[str, Any], method: AuthMethod) -> None:
    assert settings(**chosen).launch(Path("claude")).auth_method is method


KEY = SecretStr("sk-ant-a-key")
BEDROCK, VERTEX = {"claude_code_use_bedrock": True}, {"claude_code_use_vertex": True}


@pytest.mark.parametrize(
    ("given", "method"),
    [
        ({}, AuthMethod.CLI),
        ({"anthropic_api_key": KEY}, AuthMethod.API_KEY),
        ({"anthropic_api_key": SecretStr(" ")}, AuthMethod.CLI),
        (BEDROCK, AuthMethod.BEDROCK),
        (VERTEX, AuthMethod.VERTEX),
        ({"claude_code_use_bedrock": False, "anthropic_api_key": KEY}, AuthMethod.API_KEY),
        ({"claude_code_oauth_token": SecretStr("token")}, AuthMethod.CLI),
        ({"claude_auth_method": "cli", "anthropic_api_key": KEY}, AuthMethod.CLI),
        ({"claude_auth_method": "bedrock", "anthropic_api_key": KEY}, AuthMethod.BEDROCK),
        ({"claude_auth_method": "vertex"} | BEDROCK | {"anthropic_api_key": KEY}, AuthMethod.VERTEX),
        ({"claude_auth_method": "cli", "anthropic_api_key": KEY} | BEDROCK, AuthMethod.BEDROCK),
    ],
)
def test_the_credentials_alone_choose_the_login(given: dict[str, Any], method: AuthMethod) -> None:
    assert FixedSettings(**given).launch(Path("claude")).auth_method is method


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({"anthropic_api_key": KEY} | BEDROCK, ["ANTHROPIC_API_KEY", "CLAUDE_CODE_USE_BEDROCK", "api_key", "bedrock"]),
        ({"anthropic_api_key": KEY} | VERTEX, ["ANTHROPIC_API_KEY", "CLAUDE_CODE_USE_VERTEX", "api_key", "vertex"]),
        (BEDROCK | VERTEX, ["CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX", "bedrock", "vertex"]),
        ({"claude_auth_method": "cli"} | BEDROCK | VERTEX, ["CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX"]),
        (
            {"anthropic_api_key": KEY, "claude_code_oauth_token": SecretStr("token")},
            ["ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN", "api_key", "cli"],
        ),
    ],
)
def test_two_logins_are_refused_with_what_to_set(given: dict[str, Any], names: list[str]) -> None:
    with pytest.raises(ValidationError) as raised:
        FixedSettings(**given)

    (complaint,) = complaints(raised.value)
    assert all(name in complaint for name in [*names, "CLAUDE_AUTH_METHOD"])
    assert "sk-ant" not in str(raised.value)


def test_a_login_is_given_its_own_credentials_alone() -> None:
    held = settings(
        claude_auth_method="bedrock",
        anthropic_api_key=SecretStr("anthropic"),
        aws_access_key_id=SecretStr("id"),
        aws_secret_access_key=SecretStr("aws"),
    )

    credentials = held.launch(Path("claude")).credentials

    assert credentials["AWS_SECRET_ACCESS_KEY"] == "aws"
    assert "ANTHROPIC_API_KEY" not in credentials
