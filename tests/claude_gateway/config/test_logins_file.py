"""The content of `LOGINS_FILE`, and the rejection of a file that other users may read."""

import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from claude_gateway.config import FixedSettings
from claude_gateway.config.logins_file import read_logins_file
from tests.claude_gateway.scripted import MODEL
from workers.core.settings import AuthMethod

TWO_LOGINS = """
[[logins]]
name = "account"
method = "cli"
env = { CLAUDE_CONFIG_DIR = "/srv/claude" }

[[logins]]
name = "key"
method = "api_key"
models = ["claude-sonnet-*"]
model_names = { "claude-sonnet-4-5-20250929" = "claude-sonnet-4-5" }
env = { ANTHROPIC_API_KEY_FILE = "key.txt", ANTHROPIC_BASE_URL = "http://127.0.0.1:1" }
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "logins.toml"


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_logins_are_read_in_their_order_with_the_secrets_of_other_files(path: Path) -> None:
    write(path.parent / "key.txt", "the-key\n")
    account, key = read_logins_file(write(path, TWO_LOGINS))
    assert (account.name, account.method, account.env) == (
        "account",
        AuthMethod.CLI,
        {"CLAUDE_CONFIG_DIR": "/srv/claude"},
    )
    assert key.env == {"ANTHROPIC_API_KEY": "the-key", "ANTHROPIC_BASE_URL": "http://127.0.0.1:1"}
    assert key.models == ("claude-sonnet-*",)
    assert "the-key" not in repr(key)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o622, 0o666])
@pytest.mark.parametrize("name", ["logins.toml", "key.txt"])
def test_file_that_other_users_may_read_or_change_is_rejected(path: Path, name: str, mode: int) -> None:
    write(path.parent / "key.txt", "the-key")
    write(path, TWO_LOGINS)
    (path.parent / name).chmod(mode)
    with pytest.raises(ValueError, match="chmod 600"):
        read_logins_file(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "logins: Field required"),
        ("logins = []", "at least 1"),
        ("[[logins", "not valid TOML"),
        ('[[logins]]\nname = "a"', "method: Field required"),
        ('[[logins]]\nname = "a b"\nmethod = "cli"', "name: "),
        ('[[logins]]\nname = "a"\nmethod = "password"', "method: "),
        ('[[logins]]\nname = "a"\nmethod = "cli"\nmodel = "x"', "model: Extra"),
        ('[[logins]]\nname = "a"\nmethod = "cli"\nenv = { LD_PRELOAD = "s3cret" }', "no variable LD_PRELOAD"),
        ('[[logins]]\nname = "a"\nmethod = "cli"\nenv = { ANTHROPIC_API_KEY = "s3cret" }', "no variable ANTHROPIC"),
        ('[[logins]]\nname = "a"\nmethod = "api_key"\nenv = { ANTHROPIC_API_KEY = "" }', "at least 1"),
        ('[[logins]]\nname = "a"\nmethod = "api_key"\nenv = { ANTHROPIC_API_KEY_FILE = "none" }', "cannot read"),
        ('[[logins]]\nname = "a"\nmethod = "api_key"', "needs ANTHROPIC_API_KEY"),
        ('[[logins]]\nname = "a"\nmethod = "api_key"\nenv = { ANTHROPIC_API_KEY_FILE = "empty" }', "empty is empty"),
        (
            '[[logins]]\nname = "a"\nmethod = "api_key"\n'
            'env = { ANTHROPIC_API_KEY_FILE = "empty", ANTHROPIC_API_KEY = "s3cret" }',
            "both ANTHROPIC_API_KEY and ANTHROPIC_API_KEY_FILE",
        ),
        ('[[logins]]\nname = "a"\nmethod = "cli"\nenv = { CLAUDE_CONFIG_DIR = "a/b" }', "absolute path"),
        ('[[logins]]\nname = "a"\nmethod = "cli"\nenv = { CLAUDE_CONFIG_DIR = "~no-such-user/b" }', "unknown user"),
        (
            '[[logins]]\nname = "a"\nmethod = "cli"\nenv = { CLAUDE_CONFIG_DIR = "/srv/x" }\n'
            '[[logins]]\nname = "b"\nmethod = "cli"\nenv = { CLAUDE_CONFIG_DIR = "/srv/y/../x/" }',
            "a and b have the same CLAUDE_CONFIG_DIR",
        ),
        ('[[logins]]\nname = "a"\nmethod = "cli"\n[[logins]]\nname = "b"\nmethod = "cli"', "one account"),
        ('[[logins]]\nname = "a"\nmethod = "cli"\n[[logins]]\nname = "a"\nmethod = "cli"', "two logins"),
        ('[[logins]]\nname = "a"\nmethod = "cli"\n' * 17, "at most 16"),
    ],
)
def test_invalid_file_is_rejected_with_one_line_without_secrets(path: Path, text: str, message: str) -> None:
    write(path.parent / "empty", "\n")
    with pytest.raises(ValueError, match=message) as caught:
        read_logins_file(write(path, text))
    assert str(caught.value).startswith("LOGINS_FILE: ")
    assert "\n" not in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("name", ["missing.toml", "."])
def test_missing_file_is_rejected(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="LOGINS_FILE"):
        read_logins_file(tmp_path / name)


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o700])
def test_file_that_only_its_user_may_read_is_accepted(path: Path, mode: int) -> None:
    write(path.parent / "key.txt", "the-key", mode)
    assert len(read_logins_file(write(path, TWO_LOGINS, mode))) == 2


@pytest.mark.parametrize("mode", [0o440, 0o444])
def test_others_may_read_a_file_in_the_directory_of_credentials(
    path: Path, mode: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(path.parent / "key.txt", "the-key", mode)
    write(path, TWO_LOGINS, mode)
    with pytest.raises(ValueError, match="chmod 600"):
        read_logins_file(path)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(path.parent))
    assert len(read_logins_file(path)) == 2
    path.chmod(0o664)
    with pytest.raises(ValueError, match="chmod 600"):
        read_logins_file(path)


def test_file_of_another_user_is_rejected(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(path, TWO_LOGINS)
    if os.geteuid() == 0:
        os.chown(path, 4242, 4242)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 4242)
    with pytest.raises(ValueError, match="belongs to another user"):
        read_logins_file(path)


def test_named_pipe_is_rejected_at_once(path: Path) -> None:
    os.mkfifo(path, 0o600)
    with pytest.raises(ValueError, match="is not a file"):
        read_logins_file(path)


def test_file_that_is_too_large_is_rejected(path: Path) -> None:
    with pytest.raises(ValueError, match="larger than 256 KiB"):
        read_logins_file(write(path, "#" * 300_000))


def test_home_directory_is_expanded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(path.parent))
    write(path.parent / "key.txt", "the-key")
    write(path, TWO_LOGINS.replace("/srv/claude", "~/claude").replace("key.txt", "~/key.txt"))
    account, key = read_logins_file(Path("~/logins.toml"))
    assert account.env["CLAUDE_CONFIG_DIR"] == str(path.parent / "claude")
    assert (key.env["ANTHROPIC_API_KEY"], key.secret_files) == ("the-key", (path.parent / "key.txt",))
    assert settings_of(Path("~/logins.toml")).secret_directories == (path.parent,)


def test_directories_of_all_secrets_are_known(path: Path) -> None:
    (path.parent / "elsewhere").mkdir()
    write(path.parent / "elsewhere" / "key.txt", "the-key")
    write(path, TWO_LOGINS.replace("key.txt", "elsewhere/key.txt"))
    assert settings_of(path).secret_directories == (path.parent, path.parent / "elsewhere")
    assert FixedSettings().secret_directories == ()


def test_logins_with_tokens_need_no_directories(path: Path) -> None:
    login = '[[logins]]\nname = "{}"\nmethod = "cli"\nenv = {{ CLAUDE_CODE_OAUTH_TOKEN = "{}" }}\n'
    assert len(read_logins_file(write(path, login.format("a", 1) + login.format("b", 2)))) == 2


def test_file_that_is_not_text_is_rejected(path: Path) -> None:
    path.write_bytes(b"\xff\xfe")
    path.chmod(0o600)
    with pytest.raises(ValueError, match="UTF-8"):
        read_logins_file(path)


def settings_of(path: Path, **more: Any) -> FixedSettings:
    return FixedSettings(logins_file=path, default_model=MODEL, **more)


def test_each_login_has_its_own_launch_settings(path: Path) -> None:
    write(path.parent / "key.txt", "the-key")
    settings = settings_of(write(path, TWO_LOGINS), anthropic_base_url="http://127.0.0.1:2")
    account, key = settings.launch_settings(Path("/bin/claude"))
    assert (account.name, account.auth_method, account.default_model) == ("account", AuthMethod.CLI, MODEL)
    assert account.credentials == {"CLAUDE_CONFIG_DIR": "/srv/claude", "ANTHROPIC_BASE_URL": "http://127.0.0.1:2"}
    assert (key.default_model, key.credentials["ANTHROPIC_BASE_URL"]) == ("claude-sonnet-4-5", "http://127.0.0.1:1")
    assert settings.auth_method is AuthMethod.CLI


def test_without_the_file_there_is_one_login() -> None:
    settings = FixedSettings(claude_auth_method=AuthMethod.API_KEY, anthropic_api_key=SecretStr("k"))
    (launch,) = settings.launch_settings(Path("/bin/claude"))
    assert (launch.name, launch.auth_method, launch.credentials["ANTHROPIC_API_KEY"]) == (
        "default",
        AuthMethod.API_KEY,
        "k",
    )


def test_settings_of_a_single_login_must_not_be_set_too(path: Path) -> None:
    write(path, '[[logins]]\nname = "a"\nmethod = "cli"')
    with pytest.raises(ValidationError, match="LOGINS_FILE replaces ANTHROPIC_API_KEY"):
        settings_of(path, anthropic_api_key=SecretStr("k"))
