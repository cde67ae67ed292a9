"""Tests of the evaluation of the doctor's observations."""

from typing import Any

import pytest
from pydantic import SecretStr

from claude_gateway.doctor import checks
from claude_gateway.doctor.result import CheckStatus
from claude_gateway.storage.migrations import MIGRATIONS
from tests.claude_gateway.scripted import make_settings
from workers.core.settings import AuthMethod
from workers.engine import CREDENTIALS_FILE_REASON

MIB = 2**20
CURRENT_VERSION = len(MIGRATIONS)


def test_other_claude_code_version_is_a_warning_with_a_command() -> None:
    assert checks.evaluate_version("2.1.330", "2.1.330", "/x").status is CheckStatus.OK
    other = checks.evaluate_version("2.2.0", "2.1.330", "/x/claude")
    assert other.status is CheckStatus.WARNING
    assert "check-cli /x/claude" in other.remedy


@pytest.mark.parametrize(
    ("account", "status"),
    [
        ({"tokenSource": "claude.ai"}, CheckStatus.OK),
        ({"tokenSource": "none", "apiKeySource": "ANTHROPIC_API_KEY"}, CheckStatus.OK),
        ({"tokenSource": "none", "apiKeySource": "none"}, CheckStatus.FAILED),
        ({}, CheckStatus.FAILED),
    ],
)
def test_reports_login_as_claude_code_does(account: dict[str, Any], status: CheckStatus) -> None:
    assert checks.evaluate_login(AuthMethod.CLI, account).status is status


@pytest.mark.parametrize(
    ("free", "status"),
    [
        (0, CheckStatus.FAILED),
        (63 * MIB, CheckStatus.FAILED),
        (900 * MIB, CheckStatus.WARNING),
        (2**40, CheckStatus.OK),
    ],
)
def test_nearly_full_disk_is_a_failure(free: int, status: CheckStatus) -> None:
    assert checks.evaluate_disk(free, "/state").status is status


def test_compares_open_file_limit_with_connections() -> None:
    settings = make_settings(max_connections=2_000)
    assert checks.evaluate_open_files(settings, 4_096).status is CheckStatus.OK
    too_few = checks.evaluate_open_files(settings, 1_024)
    assert too_few.status is CheckStatus.FAILED
    assert "LimitNOFILE=" in too_few.remedy


@pytest.mark.parametrize(
    ("schema_version", "problem", "status", "text"),
    [
        (None, "", CheckStatus.OK, "none yet"),
        (CURRENT_VERSION, "", CheckStatus.OK, "of this version"),
        (1, "", CheckStatus.OK, "next start"),
        (CURRENT_VERSION + 1, "", CheckStatus.FAILED, "newer"),
        (None, "file is not a database", CheckStatus.FAILED, "not a database"),
    ],
)
def test_accepts_intact_database_of_a_known_version(
    schema_version: int | None, problem: str, status: CheckStatus, text: str
) -> None:
    result = checks.evaluate_database("/state/gateway.db", schema_version, problem)
    assert result.status is status
    assert text in result.detail


def test_clock_before_the_newest_file_is_a_failure() -> None:
    assert checks.evaluate_clock(1_000, 1_030).status is CheckStatus.OK
    assert checks.evaluate_clock(1_000, 1_061).status is CheckStatus.FAILED


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"claude_auth_method": AuthMethod.API_KEY, "anthropic_api_key": None}, "without ANTHROPIC_API_KEY"),
        ({"claude_auth_method": AuthMethod.VERTEX}, "without CLOUD_ML_REGION"),
        ({"claude_auth_method": AuthMethod.CLI, "anthropic_api_key": SecretStr("a-secret")}, "is not used"),
        ({"queue_timeout_seconds": 700.0}, "MAX_TIMEOUT"),
        ({"heartbeat_interval_seconds": 90.0}, "HEARTBEAT_INTERVAL_SECONDS"),
        ({"max_session_history_mib": 1_024, "max_session_history_per_key_mib": 8}, "MAX_SESSION_HISTORY_PER_KEY_MIB"),
        ({"max_connections": 10}, "MAX_CONNECTIONS"),
        ({"allow_unsandboxed_tools": True}, "ALLOW_UNSANDBOXED_TOOLS"),
    ],
)
def test_names_settings_that_conflict(monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], text: str) -> None:
    for name in ("ANTHROPIC_API_KEY", "CLOUD_ML_REGION", "ANTHROPIC_VERTEX_PROJECT_ID"):
        monkeypatch.delenv(name, raising=False)
    conflicts = list(checks.find_setting_conflicts(make_settings(**changes)))
    assert any(text in conflict.detail for conflict in conflicts)
    assert all(conflict.remedy for conflict in conflicts)
    assert "a-secret" not in str(conflicts)


def test_default_settings_do_not_conflict() -> None:
    settings = make_settings(claude_auth_method=AuthMethod.API_KEY, anthropic_api_key=SecretStr("a-secret"))
    assert list(checks.find_setting_conflicts(settings)) == []


@pytest.mark.parametrize(
    ("problem", "remedy"),
    [
        ("not installed: bwrap", "apt-get install"),
        ("the gateway runs as root, so a login needs CLAUDE_CODE_OAUTH_TOKEN", "setup-token"),
        (CREDENTIALS_FILE_REASON, "AWS_ACCESS_KEY_ID"),
    ],
)
def test_missing_sandbox_has_a_remedy(problem: str, remedy: str) -> None:
    result = checks.evaluate_sandbox(problem, allow_unsandboxed=False)
    assert result.status is CheckStatus.WARNING
    assert problem in result.detail
    assert remedy in result.remedy
    assert checks.evaluate_sandbox(None, allow_unsandboxed=False).status is CheckStatus.OK
