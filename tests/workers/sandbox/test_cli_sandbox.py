import json
from dataclasses import replace
from pathlib import Path

import pytest

from workers.cli.command import CREDENTIAL_VARIABLES, build_agent_arguments, build_agent_environment
from workers.core.settings import AuthMethod, LaunchSettings
from workers.sandbox.cli_sandbox import CLI_SANDBOX_HOME, SandboxSpec, build_cli_sandbox_command, build_cli_settings

LAUNCH = LaunchSettings(
    Path("/opt/cli"),
    AuthMethod.API_KEY,
    "claude-test",
    {"ANTHROPIC_API_KEY": "secret", "ANTHROPIC_BASE_URL": "http://h"},
)
SPEC = SandboxSpec(61_999, max_file_bytes=10, max_process_bytes=20)


@pytest.mark.parametrize("uid", [None, 61_999])
def test_sandbox_shows_only_the_system_and_the_workspace_of_the_disk(uid: int | None) -> None:
    argv = build_cli_sandbox_command(replace(SPEC, uid=uid), Path("/opt/cli"), ("--print",), Path("/state/p-1"))
    writable = [argv[index + 1] for index, word in enumerate(argv) if word in ("--bind", "--bind-try")]
    assert writable == (["/state/p-1"] if uid is None else ["/state/p-1", "/proc", "/"])
    assert argv[argv.index("/state/p-1") + 1] == "/desk"
    for word in ("--unshare-user", "--unshare-pid", "--unshare-ipc", "--die-with-parent"):
        assert word in argv
    assert argv[-2:] == ("/opt/claude", "--print")


@pytest.mark.parametrize("uid", [None, 61_999])
def test_mounts_the_transcript_directory_only_into_the_home_directory_of_the_cli(uid: int | None) -> None:
    argv = build_cli_sandbox_command(
        replace(SPEC, uid=uid), Path("/opt/cli"), (), Path("/p"), transcript_dir=Path("/state/r-p/talk")
    )
    transcript_target = f"{CLI_SANDBOX_HOME}/.claude/projects"
    binds = [
        argv[n + 1 : n + 3]
        for n, word in enumerate(argv)
        if word in ("--bind", "--bind-try") and argv[n + 2] == transcript_target
    ]
    assert binds == [
        ("/state/r-p/talk", transcript_target),
        *([] if uid is None else [(transcript_target, transcript_target)]),
    ]
    assert max(n for n, word in enumerate(argv) if word == transcript_target) > max(
        n for n, word in enumerate(argv) if word == CLI_SANDBOX_HOME
    )


def test_cli_records_conversations_only_in_a_sandbox() -> None:
    for is_sandboxed in (False, True):
        arguments = build_agent_arguments(LAUNCH, ("Bash",), sandboxed=is_sandboxed)
        assert ("--no-session-persistence" in arguments) is not is_sandboxed


def test_drops_root_before_the_command_runs() -> None:
    argv = build_cli_sandbox_command(SPEC, Path("/opt/cli"), (), Path("/p"))
    assert argv.index("setpriv") < argv.index("--unshare-user") < argv.index("prlimit")
    assert argv[argv.index("--reuid") + 1] == "61999"


def test_hides_every_credential_variable_from_commands() -> None:
    sandbox_settings = json.loads(build_agent_arguments(LAUNCH, ("Bash",), sandboxed=True)[-1])["sandbox"]
    variables = sandbox_settings["credentials"]["envVars"]
    denied = {variable["name"] for variable in variables if variable["mode"] == "deny"}
    assert set().union(*CREDENTIAL_VARIABLES.values()) <= denied


def test_settings_forbid_commands_without_a_sandbox_and_network_access() -> None:
    sandbox_settings = json.loads(build_cli_settings(()))["sandbox"]
    assert sandbox_settings["failIfUnavailable"]
    assert not sandbox_settings["allowUnsandboxedCommands"]
    assert sandbox_settings["network"] == {"allowedDomains": []}


def test_puts_no_secret_on_the_command_line_and_no_host_path_into_the_environment() -> None:
    arguments = build_agent_arguments(LAUNCH, ("Bash", "Read"), sandboxed=True)
    assert "secret" not in " ".join(arguments)
    assert "--restricted" in arguments
    env = build_agent_environment(LAUNCH, Path("/state/w-1"), {"PATH": "/bin", "HOME": "/root", "OTHER": "x"}, SPEC)
    assert "OTHER" not in env
    assert not any("/state" in value or "/root" in value for value in env.values())
