"""What the doctor makes of what was seen."""

from typing import Any

import pytest
from pydantic import SecretStr

from claude_gateway.doctor import verdicts
from claude_gateway.doctor.findings import State
from claude_gateway.stores.schema import SCRIPTS
from tests.claude_gateway.scripted import settings
from workers.engine import LOGIN_IN_A_FILE
from workers.settings import AuthMethod

MIB = 2**20
OF_TODAY = len(SCRIPTS)


def test_another_version_of_claude_code_is_worth_a_warning_that_says_how_to_try_it() -> None:
    assert verdicts.version("2.1.330", "2.1.330", "/x").state is State.OK
    other = verdicts.version("2.2.0", "2.1.330", "/x/claude")
    assert other.state is State.WARNING
    assert "check-cli /x/claude" in other.remedy


@pytest.mark.parametrize(
    ("account", "state"),
    [
        ({"tokenSource": "claude.ai"}, State.OK),
        ({"tokenSource": "none", "apiKeySource": "ANTHROPIC_API_KEY"}, State.OK),
        ({"tokenSource": "none", "apiKeySource": "none"}, State.FAILED),
        ({}, State.FAILED),
    ],
)
def test_a_login_is_what_claude_code_says_it_has(account: dict[str, Any], state: State) -> None:
    assert verdicts.login(AuthMethod.CLI, account).state is state


@pytest.mark.parametrize(
    ("free", "state"), [(0, State.FAILED), (63 * MIB, State.FAILED), (900 * MIB, State.WARNING), (2**40, State.OK)]
)
def test_a_disk_is_full_before_nothing_is_left(free: int, state: State) -> None:
    assert verdicts.disk(free, "/state").state is state


def test_memory_is_counted_by_what_a_process_of_this_machine_takes() -> None:
    some = settings(chat_workers=4, chat_spare_workers=1, agent_workers=2, agent_spare_workers=1)
    assert verdicts.memory(some, 100.0, 1_200).state is State.OK
    short = verdicts.memory(some, 100.0, 1_199)
    assert short.state is State.FAILED
    assert "1,200 MiB" in short.seen


def test_open_files_must_do_for_the_connections() -> None:
    many = settings(max_connections=2_000)
    assert verdicts.open_files(many, 4_096).state is State.OK
    few = verdicts.open_files(many, 1_024)
    assert few.state is State.FAILED
    assert "LimitNOFILE=" in few.remedy


@pytest.mark.parametrize(
    ("found", "complaint", "state", "words"),
    [
        (None, "", State.OK, "none yet"),
        (OF_TODAY, "", State.OK, "of this version"),
        (1, "", State.OK, "next start"),
        (OF_TODAY + 1, "", State.FAILED, "newer"),
        (None, "file is not a database", State.FAILED, "not a database"),
    ],
)
def test_a_database_is_whole_and_of_a_version_that_is_known(
    found: int | None, complaint: str, state: State, words: str
) -> None:
    finding = verdicts.database("/state/gateway.db", found, complaint)
    assert finding.state is state
    assert words in finding.seen


def test_a_clock_behind_the_newest_file_is_wrong() -> None:
    assert verdicts.clock(1_000, 1_030).state is State.OK
    assert verdicts.clock(1_000, 1_061).state is State.FAILED


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"claude_auth_method": AuthMethod.API_KEY, "anthropic_api_key": None}, "without ANTHROPIC_API_KEY"),
        ({"claude_auth_method": AuthMethod.VERTEX}, "without CLOUD_ML_REGION"),
        ({"claude_auth_method": AuthMethod.CLI, "anthropic_api_key": SecretStr("a-secret")}, "is not used"),
        ({"queue_timeout_seconds": 700.0}, "MAX_TIMEOUT"),
        ({"heartbeat_seconds": 90.0}, "HEARTBEAT_SECONDS"),
        ({"session_max_mib": 1_024, "sessions_max_mib": 8}, "SESSIONS_MAX_MIB"),
        ({"max_connections": 10}, "MAX_CONNECTIONS"),
        ({"allow_unsandboxed_tools": True}, "ALLOW_UNSANDBOXED_TOOLS"),
    ],
)
def test_settings_that_do_not_fit_together_are_named(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], word: str
) -> None:
    for name in ("ANTHROPIC_API_KEY", "CLOUD_ML_REGION", "ANTHROPIC_VERTEX_PROJECT_ID"):
        monkeypatch.delenv(name, raising=False)
    found = list(verdicts.fit(settings(**changes)))
    assert any(word in finding.seen for finding in found)
    assert all(finding.remedy for finding in found)
    assert "a-secret" not in str(found)


def test_settings_as_they_are_given_fit_together() -> None:
    fitting = settings(claude_auth_method=AuthMethod.API_KEY, anthropic_api_key=SecretStr("a-secret"))
    assert list(verdicts.fit(fitting)) == []


@pytest.mark.parametrize(
    ("complaint", "remedy"),
    [
        ("not installed: bwrap", "apt-get install"),
        ("as root, a login needs CLAUDE_CODE_OAUTH_TOKEN", "setup-token"),
        (LOGIN_IN_A_FILE, "AWS_ACCESS_KEY_ID"),
    ],
)
def test_without_a_sandbox_the_doctor_says_what_to_do_about_it(complaint: str, remedy: str) -> None:
    finding = verdicts.sandbox(complaint, unsandboxed=False)
    assert finding.state is State.WARNING
    assert complaint in finding.seen
    assert remedy in finding.remedy
    assert verdicts.sandbox(None, unsandboxed=False).state is State.OK
