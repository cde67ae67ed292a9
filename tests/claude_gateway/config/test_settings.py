"""Sources of settings, invalid settings, and secrets that are never shown."""

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
from claude_gateway.config.reload import format_validation_errors
from tests.claude_gateway.scripted import make_settings
from workers.core.settings import AuthMethod

SECRETS = ("api_key", "anthropic_api_key", "claude_code_oauth_token", "aws_access_key_id", "aws_secret_access_key")
PRINT_SETTINGS = """
import json
from claude_gateway.config import FixedSettings, Settings
settings = Settings()
key = settings.api_key
print(json.dumps([settings.port, key and key.get_secret_value(), settings.verbose, str(settings.state_dir)]))
"""


def read_settings_in_subprocess(directory: Path, env_file: str, **environment: str) -> list[Any]:
    """Return the settings that a gateway reads in a directory with this `.env` and environment."""
    (directory / ".env").write_text(env_file)
    variables = {"PATH": os.environ["PATH"], "HOME": "/home/of-a-test", **environment}
    process = subprocess.run(
        [sys.executable, "-c", PRINT_SETTINGS],
        cwd=directory,
        env=variables,
        capture_output=True,
        check=True,
        timeout=60,
    )
    settings: list[Any] = json.loads(process.stdout)
    return settings


@pytest.mark.promise("settings.sources")
def test_environment_overrides_env_file_which_overrides_defaults(tmp_path: Path) -> None:
    settings = read_settings_in_subprocess(
        tmp_path, "PORT=1111\nAPI_KEY=from-file\nUNKNOWN=1\n", PORT="2222", verbose="yes"
    )

    assert settings == [2222, "from-file", True, "/home/of-a-test/.local/state/claude-gateway"]


def test_systemd_credential_applies_if_nothing_else_is_set(tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "api_key").write_text("from-systemd\n")
    (credentials / "port").write_text("3333")

    settings = read_settings_in_subprocess(tmp_path, "PORT=1111\n", CREDENTIALS_DIRECTORY=str(credentials))

    assert settings[:2] == [1111, "from-systemd"]


@pytest.mark.parametrize("name", ["two words", "x" * 65, "a/b", "a\n", "مجموعة"])
def test_rejects_invalid_name_of_a_group(name: str) -> None:
    assert make_settings(api_key_group="my-team_1.2").api_key_group == "my-team_1.2"
    with pytest.raises(ValidationError, match="api_key_group"):
        make_settings(api_key_group=name)


def test_blank_value_means_default(tmp_path: Path) -> None:
    settings = read_settings_in_subprocess(tmp_path, "PORT=\nAPI_KEY=\nVERBOSE=\n", STATE_DIR="", XDG_STATE_HOME="/xdg")

    assert settings == [8000, None, False, "/xdg/claude-gateway"]


@pytest.mark.parametrize("blank", ["", "  ", "\t\n"])
@pytest.mark.parametrize("name", ["api_key", "anthropic_api_key"])
def test_blank_key_means_no_key(name: str, blank: str) -> None:
    assert getattr(make_settings(**{name: SecretStr(blank)}), name) is None


@pytest.mark.promise("settings.secrets")
def test_shows_no_secret_in_repr_or_dump() -> None:
    secret = "do-not-show"
    config = make_settings(**{name: SecretStr(secret) for name in SECRETS})
    (launch,) = config.launch_settings(Path("claude"))

    assert launch.credentials["ANTHROPIC_API_KEY"] == secret
    for text in (repr(config), str(config), str(config.model_dump()), config.model_dump_json(), repr(launch)):
        assert secret not in text


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in Settings.model_fields
        if re.search("key|token", re.sub("_per_key|count_tokens|api_key_group", "", name))
    ],
)
def test_every_key_and_token_is_a_secret(name: str) -> None:
    assert Settings.model_fields[name].annotation == SecretStr | None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", 70_000),
        ("port", "eighty"),
        ("chat_workers", 0),
        ("max_queued_jobs", -1),
        ("max_timeout", 0),
        ("heartbeat_interval_seconds", 0),
        ("claude_auth_method", "password"),
        ("debug_mode", "perhaps"),
        ("max_request_size", "10MB"),
        ("model_aliases", "gpt-4o"),
    ],
)
def test_names_the_setting_of_an_invalid_value_without_the_value(name: str, value: object) -> None:
    with pytest.raises(ValidationError) as raised:
        make_settings(**{name: value})

    assert [error["loc"] for error in raised.value.errors()] == [(name,)]
    assert name in str(raised.value)
    assert f"input_value={value!r}" not in str(raised.value)


@pytest.mark.parametrize("name", ["SESSION_TTL_SECONDS", "session_ttl_seconds"])
def test_reads_settings_in_either_case(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "60")

    assert make_settings().session_limits().ttl_seconds == 60
    assert make_settings(session_ttl_seconds=5).session_limits().ttl_seconds == 5


def test_settings_are_immutable() -> None:
    with pytest.raises(ValidationError):
        make_settings().port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("values", "method"),
    [
        ({"claude_auth_method": "cli"}, AuthMethod.CLI),
        ({"claude_auth_method": "cli", "claude_code_use_bedrock": True}, AuthMethod.BEDROCK),
        ({"claude_auth_method": "cli", "claude_code_use_vertex": True}, AuthMethod.VERTEX),
        ({"claude_auth_method": "api_key", "claude_code_use_bedrock": True}, AuthMethod.API_KEY),
    ],
)
def test_claude_code_switches_select_the_login(values: dict[str, Any], method: AuthMethod) -> None:
    assert make_settings(**values).launch_settings(Path("claude"))[0].auth_method is method


KEY = SecretStr("sk-ant-a-key")
BEDROCK, VERTEX = {"claude_code_use_bedrock": True}, {"claude_code_use_vertex": True}


@pytest.mark.parametrize(
    ("values", "method"),
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
def test_credentials_select_the_login(values: dict[str, Any], method: AuthMethod) -> None:
    assert FixedSettings(**values).launch_settings(Path("claude"))[0].auth_method is method


@pytest.mark.parametrize(
    ("values", "names"),
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
def test_rejects_two_logins_with_a_suggestion(values: dict[str, Any], names: list[str]) -> None:
    with pytest.raises(ValidationError) as raised:
        FixedSettings(**values)

    (problem,) = format_validation_errors(raised.value)
    assert all(name in problem for name in [*names, "CLAUDE_AUTH_METHOD"])
    assert "sk-ant" not in str(raised.value)


def test_login_receives_only_its_own_credentials() -> None:
    config = make_settings(
        claude_auth_method="bedrock",
        anthropic_api_key=SecretStr("anthropic"),
        aws_access_key_id=SecretStr("id"),
        aws_secret_access_key=SecretStr("aws"),
    )

    credentials = config.launch_settings(Path("claude"))[0].credentials

    assert credentials["AWS_SECRET_ACCESS_KEY"] == "aws"
    assert "ANTHROPIC_API_KEY" not in credentials
