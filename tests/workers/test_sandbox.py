import json
from dataclasses import replace
from pathlib import Path

import pytest

from workers.launch import CREDENTIAL_VARIABLES, agent_arguments, agent_environment
from workers.sandbox import HOME, Box, boxed, settings
from workers.settings import AuthMethod, LaunchSettings

LAUNCH = LaunchSettings(
    Path("/opt/cli"),
    AuthMethod.API_KEY,
    "claude-test",
    {"ANTHROPIC_API_KEY": "secret", "ANTHROPIC_BASE_URL": "http://h"},
)
BOX = Box(61_999, largest_file=10, largest_process=20)


@pytest.mark.parametrize("user", [None, 61_999])
def test_the_box_shows_of_the_disk_the_system_and_one_directory(user: int | None) -> None:
    argv = boxed(replace(BOX, user=user), Path("/opt/cli"), ("--print",), Path("/state/p-1"))
    writable = [argv[n + 1] for n, word in enumerate(argv) if word in ("--bind", "--bind-try")]
    assert writable == (["/state/p-1"] if user is None else ["/state/p-1", "/proc", "/"])
    assert argv[argv.index("/state/p-1") + 1] == "/desk"
    for word in ("--unshare-user", "--unshare-pid", "--unshare-ipc", "--die-with-parent"):
        assert word in argv
    assert argv[-2:] == ("/opt/claude", "--print")


@pytest.mark.parametrize("user", [None, 61_999])
def test_its_conversation_is_written_down_in_its_home_and_seen_nowhere_else(user: int | None) -> None:
    argv = boxed(replace(BOX, user=user), Path("/opt/cli"), (), Path("/p"), talk=Path("/state/r-p/talk"))
    there = f"{HOME}/.claude/projects"
    binds = [
        argv[n + 1 : n + 3] for n, word in enumerate(argv) if word in ("--bind", "--bind-try") and argv[n + 2] == there
    ]
    assert binds == [("/state/r-p/talk", there), *([] if user is None else [(there, there)])]
    assert max(n for n, word in enumerate(argv) if word == there) > max(
        n for n, word in enumerate(argv) if word == HOME
    )


def test_only_what_is_in_a_box_is_written_down() -> None:
    for boxed_too in (False, True):
        arguments = agent_arguments(LAUNCH, ("Bash",), boxed=boxed_too)
        assert ("--no-session-persistence" in arguments) is not boxed_too


def test_as_root_another_user_is_become_before_anything_of_the_work_runs() -> None:
    argv = boxed(BOX, Path("/opt/cli"), (), Path("/p"))
    assert argv.index("setpriv") < argv.index("--unshare-user") < argv.index("prlimit")
    assert argv[argv.index("--reuid") + 1] == "61999"


def test_every_variable_that_may_hold_a_secret_is_kept_from_commands() -> None:
    chosen = json.loads(agent_arguments(LAUNCH, ("Bash",), boxed=True)[-1])["sandbox"]
    denied = {one["name"] for one in chosen["credentials"]["envVars"] if one["mode"] == "deny"}
    assert set().union(*CREDENTIAL_VARIABLES.values()) <= denied


def test_without_a_sandbox_no_command_runs_and_no_host_is_reached() -> None:
    chosen = json.loads(settings(()))["sandbox"]
    assert chosen["failIfUnavailable"]
    assert not chosen["allowUnsandboxedCommands"]
    assert chosen["network"] == {"allowedDomains": []}


def test_nothing_of_a_caller_or_a_key_is_on_the_command_line_and_no_path_of_the_host_in_the_environment() -> None:
    arguments = agent_arguments(LAUNCH, ("Bash", "Read"), boxed=True)
    assert "secret" not in " ".join(arguments)
    assert "--restricted" in arguments
    env = agent_environment(LAUNCH, Path("/state/w-1"), {"PATH": "/bin", "HOME": "/root", "OTHER": "x"}, BOX)
    assert "OTHER" not in env
    assert not any("/state" in value or "/root" in value for value in env.values())
