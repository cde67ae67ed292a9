"""The settings as commands read them: what stops them, and what is only told."""

from pathlib import Path

import pytest

from claude_gateway.config import Settings
from claude_gateway.config.group import CREDENTIALS_DIRECTORY
from claude_gateway.config.reading import (
    MIN_API_KEY_LENGTH,
    BadSettings,
    read_settings,
    read_settings_to_serve,
    setting_names,
)

GOOD_KEY = "k" * MIN_API_KEY_LENGTH


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory to read from, in an environment that sets nothing."""
    monkeypatch.chdir(tmp_path)
    for name in (*setting_names(), CREDENTIALS_DIRECTORY):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def complaints() -> tuple[str, ...]:
    with pytest.raises(BadSettings) as raised:
        read_settings_to_serve()
    return raised.value.complaints


@pytest.mark.promise("settings.misspelt")
@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("API_KYE", "API_KEY"),
        ("APIKEY", "API_KEY"),
        ("api-key", "API_KEY"),
        ("CHAT_WORKER", "CHAT_WORKERS"),
        ("RATE_LIMIT_ENABLE", "RATE_LIMIT_ENABLED"),
        ("STATEDIR", "STATE_DIR"),
        ("ANTROPIC_API_KEY", "ANTHROPIC_API_KEY"),
        ("TRUSTED_PROXY", "TRUSTED_PROXIES"),
    ],
)
def test_a_misspelt_name_in_the_env_file_stops_it_with_the_nearest_setting(
    here: Path, written: str, meant: str
) -> None:
    (here / ".env").write_text(f"# ours\n\nPORT=8001\nexport {written}=a-secret-value\n")

    (complaint,) = complaints()

    assert complaint.startswith(f"{here}/.env line 4: {written} is no setting; {meant} is.")
    assert "a-secret-value" not in complaint


@pytest.mark.promise("settings.misspelt")
@pytest.mark.parametrize("name", ["OTEL_SERVICE_NAME", "HTTPS_PROXY", "COMPOSE_PROJECT_NAME", "TZ"])
def test_a_name_unlike_any_setting_is_only_told(here: Path, name: str) -> None:
    (here / ".env").write_text(f"PORT=8001\n{name}=x\n")

    reading = read_settings_to_serve()

    assert reading.settings.port == 8001
    assert reading.warnings == (f"{here}/.env line 2: {name} is no setting of the gateway, and does nothing.",)


@pytest.mark.parametrize(
    ("name", "meant"),
    [("PROT", "PORT"), ("TIMEOUT", "MAX_TIMEOUT"), ("ANTHROPIC_VERTEX_BASE_URL", "ANTHROPIC_BASE_URL")],
)
def test_a_name_that_is_somewhat_like_a_setting_is_told_with_it(here: Path, name: str, meant: str) -> None:
    (here / ".env").write_text(f"{name}=1\n")

    (warning,) = read_settings_to_serve().warnings

    assert warning.endswith(f"{name} is no setting of the gateway, and does nothing. Is {meant} meant?")


@pytest.mark.parametrize("line", ["API KEY=x", "API_KEY", "just some words", "= x", "API_KEY: x"])
def test_a_line_that_is_no_setting_at_all_stops_it(here: Path, line: str) -> None:
    (here / ".env").write_text(f"PORT=8001\n{line}\n")

    (complaint,) = complaints()

    assert f"{here}/.env line 2" in complaint


def test_a_file_written_on_windows_is_read(here: Path) -> None:
    (here / ".env").write_bytes(b"PORT=8001\r\n\r\nVERBOSE=true\r\n")

    reading = read_settings_to_serve()

    assert (reading.settings.port, reading.settings.verbose, reading.warnings) == (8001, True, ())


def test_every_name_of_a_setting_is_known(here: Path) -> None:
    """Also in lower case, and the second name that some have."""
    names = [*Settings.model_fields, "SESSION_TTL"]
    (here / ".env").write_text("".join(f"{name}=\n" for name in names if name != "api_key"))

    assert read_settings_to_serve().warnings == ()


@pytest.mark.parametrize(
    ("name", "told"), [("API_KYE", 1), ("CHAT_WORKER", 1), ("PORTS", 0), ("LESS", 0), ("KUBERNETES_PORT", 0)]
)
def test_a_variable_of_the_environment_is_told_where_it_is_very_near(
    monkeypatch: pytest.MonkeyPatch, name: str, told: int
) -> None:
    monkeypatch.setenv(name, "x")

    assert sum(f" {name} " in warning for warning in read_settings().warnings) == told


def test_a_directory_in_the_place_of_the_env_file_stops_it(here: Path) -> None:
    """As a container makes one for a file that is not there."""
    (here / ".env").mkdir()

    assert complaints() == (f"{here}/.env is a directory, where a file with settings is expected.",)


def test_a_file_that_is_no_text_stops_it(here: Path) -> None:
    (here / ".env").write_bytes(b"PORT=8001\nAPI_KEY=\xff\xfe\n")

    assert complaints() == (f"{here}/.env is no text in UTF-8: see its byte 19.",)


def test_a_credential_that_is_no_text_stops_it(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CREDENTIALS_DIRECTORY, str(here))
    (here / "api_key").write_bytes(b"\xff")

    (complaint,) = complaints()

    assert f"{here}/api_key is no text" in complaint


def test_credentials_that_are_not_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CREDENTIALS_DIRECTORY, "/nowhere")

    assert read_settings().settings.api_key is None


@pytest.mark.promise("settings.misspelt")
@pytest.mark.parametrize("key", ["", "  ", "x", "k" * (MIN_API_KEY_LENGTH - 1), f" {'k' * (MIN_API_KEY_LENGTH - 1)} "])
@pytest.mark.parametrize("source", ["environment", ".env", "credential"])
def test_an_empty_or_short_key_stops_what_others_can_reach(
    here: Path, monkeypatch: pytest.MonkeyPatch, source: str, key: str
) -> None:
    if source == "environment":
        monkeypatch.setenv("API_KEY", key)
    elif source == ".env":
        (here / ".env").write_text(f"API_KEY='{key}'\n")
    else:
        (here / "api_key").write_text(key)
        monkeypatch.setenv(CREDENTIALS_DIRECTORY, str(here))

    (complaint,) = complaints()

    assert complaint.startswith("API_KEY is ")
    assert "0.0.0.0" in complaint
    assert not key.strip() or key.strip() not in complaint or key == "x"
    assert read_settings()  # for a command that only looks, it is no matter


@pytest.mark.parametrize(
    ("host", "proxies", "stops"),
    [
        ("127.0.0.1", "", False),
        ("::1", "", False),
        ("localhost", "", False),
        ("127.0.0.1", "127.0.0.1", True),
        ("::", "", True),
        ("192.0.2.1", "", True),
        ("gateway.example.com", "", True),
    ],
)
def test_a_short_key_may_be_where_nobody_else_comes(
    monkeypatch: pytest.MonkeyPatch, host: str, proxies: str, stops: bool
) -> None:
    for name, value in {"API_KEY": "short", "CLAUDE_WRAPPER_HOST": host, "TRUSTED_PROXIES": proxies}.items():
        monkeypatch.setenv(name, value)

    if stops:
        assert "too short" in complaints()[0]
    else:
        assert read_settings_to_serve()


def test_a_key_that_is_long_enough_or_none_at_all_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_settings_to_serve()
    monkeypatch.setenv("API_KEY", GOOD_KEY)
    assert read_settings_to_serve()


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", no_home)

    assert complaints() == ("Could not determine home directory. Set STATE_DIR, or HOME.",)
