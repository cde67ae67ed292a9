"""Settings as commands load them: problems that prevent startup, and problems that are only reported."""

from pathlib import Path

import pytest

from claude_gateway.config import Settings
from claude_gateway.config.base import CREDENTIALS_DIRECTORY_VARIABLE
from claude_gateway.config.loading import (
    MIN_API_KEY_CHARS,
    InvalidSettings,
    known_setting_names,
    load_serve_settings,
    load_settings,
)

GOOD_KEY = "k" * MIN_API_KEY_CHARS


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, in an environment without any setting."""
    monkeypatch.chdir(tmp_path)
    for name in (*known_setting_names(), CREDENTIALS_DIRECTORY_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def find_startup_problems() -> tuple[str, ...]:
    with pytest.raises(InvalidSettings) as raised:
        load_serve_settings()
    return raised.value.problems


@pytest.mark.promise("settings.misspelled")
@pytest.mark.parametrize(
    ("misspelled", "setting"),
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
def test_misspelled_name_in_env_file_prevents_startup_and_names_the_nearest_setting(
    directory: Path, misspelled: str, setting: str
) -> None:
    (directory / ".env").write_text(f"# a comment\n\nPORT=8001\nexport {misspelled}=a-secret-value\n")

    (problem,) = find_startup_problems()

    assert problem.startswith(f"{directory}/.env line 4: {misspelled} is not a setting; {setting} is.")
    assert "a-secret-value" not in problem


@pytest.mark.promise("settings.misspelled")
@pytest.mark.parametrize("name", ["OTEL_SERVICE_NAME", "HTTPS_PROXY", "COMPOSE_PROJECT_NAME", "TZ"])
def test_unknown_name_is_only_reported(directory: Path, name: str) -> None:
    (directory / ".env").write_text(f"PORT=8001\n{name}=x\n")

    loaded = load_serve_settings()

    assert loaded.settings.port == 8001
    assert loaded.warnings == (f"{directory}/.env line 2: {name} is not a setting of the gateway and has no effect.",)


@pytest.mark.parametrize(
    ("name", "setting"),
    [("PROT", "PORT"), ("TIMEOUT", "MAX_TIMEOUT"), ("ANTHROPIC_VERTEX_BASE_URL", "ANTHROPIC_BASE_URL")],
)
def test_similar_name_is_reported_with_the_setting(directory: Path, name: str, setting: str) -> None:
    (directory / ".env").write_text(f"{name}=1\n")

    (warning,) = load_serve_settings().warnings

    assert warning.endswith(f"{name} is not a setting of the gateway and has no effect. Did you mean {setting}?")


@pytest.mark.parametrize("line", ["API KEY=x", "API_KEY", "just some words", "= x", "API_KEY: x"])
def test_invalid_line_prevents_startup(directory: Path, line: str) -> None:
    (directory / ".env").write_text(f"PORT=8001\n{line}\n")

    (problem,) = find_startup_problems()

    assert f"{directory}/.env line 2" in problem


def test_reads_file_written_on_windows(directory: Path) -> None:
    (directory / ".env").write_bytes(b"PORT=8001\r\n\r\nVERBOSE=true\r\n")

    loaded = load_serve_settings()

    assert (loaded.settings.port, loaded.settings.verbose, loaded.warnings) == (8001, True, ())


def test_accepts_every_setting_name_in_lower_case(directory: Path) -> None:
    names = list(Settings.model_fields)
    (directory / ".env").write_text("".join(f"{name}=\n" for name in names if name != "api_key"))

    assert load_serve_settings().warnings == ()


@pytest.mark.parametrize(
    ("name", "warning_count"), [("API_KYE", 1), ("CHAT_WORKER", 1), ("PORTS", 0), ("LESS", 0), ("KUBERNETES_PORT", 0)]
)
def test_reports_environment_variable_that_is_nearly_a_setting(
    monkeypatch: pytest.MonkeyPatch, name: str, warning_count: int
) -> None:
    monkeypatch.setenv(name, "x")

    assert sum(f" {name} " in warning for warning in load_settings().warnings) == warning_count


def test_directory_in_place_of_the_env_file_prevents_startup(directory: Path) -> None:
    """A container creates such a directory if the file that it mounts does not exist."""
    (directory / ".env").mkdir()

    assert find_startup_problems() == (
        f"{directory}/.env is a directory. Replace it with a file of settings, or remove it.",
    )


def test_binary_env_file_prevents_startup(directory: Path) -> None:
    (directory / ".env").write_bytes(b"PORT=8001\nAPI_KEY=\xff\xfe\n")

    assert find_startup_problems() == (f"{directory}/.env is not UTF-8 text; see byte 19.",)


def test_binary_credential_prevents_startup(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CREDENTIALS_DIRECTORY_VARIABLE, str(directory))
    (directory / "api_key").write_bytes(b"\xff")

    (problem,) = find_startup_problems()

    assert f"{directory}/api_key is not UTF-8 text" in problem


def test_missing_credentials_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CREDENTIALS_DIRECTORY_VARIABLE, "/nowhere")

    assert load_settings().settings.api_key is None


@pytest.mark.promise("settings.misspelled")
@pytest.mark.parametrize("key", ["", "  ", "x", "k" * (MIN_API_KEY_CHARS - 1), f" {'k' * (MIN_API_KEY_CHARS - 1)} "])
@pytest.mark.parametrize("source", ["environment", ".env", "credential"])
def test_missing_or_short_key_prevents_startup_on_a_public_address(
    directory: Path, monkeypatch: pytest.MonkeyPatch, source: str, key: str
) -> None:
    if source == "environment":
        monkeypatch.setenv("API_KEY", key)
    elif source == ".env":
        (directory / ".env").write_text(f"API_KEY='{key}'\n")
    else:
        (directory / "api_key").write_text(key)
        monkeypatch.setenv(CREDENTIALS_DIRECTORY_VARIABLE, str(directory))

    (problem,) = find_startup_problems()

    assert problem.startswith("API_KEY is ")
    assert "0.0.0.0" in problem
    assert not key.strip() or key.strip() not in problem or key == "x"
    assert load_settings()  # other commands accept the key


@pytest.mark.parametrize(
    ("host", "proxies", "is_rejected"),
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
def test_short_key_is_accepted_only_on_loopback(
    monkeypatch: pytest.MonkeyPatch, host: str, proxies: str, is_rejected: bool
) -> None:
    for name, value in {"API_KEY": "short", "CLAUDE_WRAPPER_HOST": host, "TRUSTED_PROXIES": proxies}.items():
        monkeypatch.setenv(name, value)

    if is_rejected:
        assert "too short" in find_startup_problems()[0]
    else:
        assert load_serve_settings()


def test_long_key_or_no_key_on_loopback_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_serve_settings()
    monkeypatch.setenv("API_KEY", GOOD_KEY)
    assert load_serve_settings()


def test_missing_home_directory_is_reported_with_a_suggestion(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", no_home)

    assert find_startup_problems() == ("Could not determine home directory. Set STATE_DIR or HOME.",)
