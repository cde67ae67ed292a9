"""Order of the mounts of a stdio server, its limits and its environment."""

from dataclasses import replace
from pathlib import Path

import pytest

from claude_gateway.mcp_servers.models import StdioConfig
from claude_gateway.mcp_servers.sandbox import McpSandbox, build_server_env, server_sandbox_command

SANDBOX = McpSandbox(
    None, 100, readable_paths=("/srv/b", "/srv/a/deep"), writable_paths=("/srv/a",), hidden_paths=("/srv/b/state",)
)


def find_mounts(argv: tuple[str, ...]) -> list[tuple[str, str]]:
    kinds = ("--ro-bind-try", "--bind-try", "--tmpfs")
    mount_args = [(word, argv[n + 1]) for n, word in enumerate(argv) if word in kinds]
    system_paths = ("/usr", "/bin", "/sbin", "/lib", "/etc")
    return [(option, path) for option, path in mount_args if not path.startswith(system_paths)]


@pytest.mark.parametrize("uid", [None, 61_999])
def test_mounts_parents_before_children_and_hides_paths_last(uid: int | None) -> None:
    assert find_mounts(server_sandbox_command(replace(SANDBOX, uid=uid), ("search",), Path("/state/homes/1"))) == [
        ("--tmpfs", "/tmp"),
        ("--bind-try", "/srv/a"),
        ("--ro-bind-try", "/srv/a/deep"),
        ("--ro-bind-try", "/srv/b"),
        ("--tmpfs", "/srv/b/state"),
        ("--bind-try", "/state/homes/1"),
    ]


def test_puts_limits_before_the_program_and_keeps_the_network() -> None:
    argv = server_sandbox_command(SANDBOX, ("search", "--all"), Path("/state/homes/1"))

    assert argv[-3:] == ("--", "search", "--all")
    assert {"--data=100:100", "--core=0"} < set(argv[argv.index("prlimit") :])
    assert "--unshare-pid" in argv
    assert "--unshare-net" not in argv


def test_environment_has_the_registered_variables_and_four_others() -> None:
    config = StdioConfig(("search",), {"SEARCH_TOKEN": "secret", "HOME": "/elsewhere"})

    assert build_server_env(config, "/home/server", "/bin") == {
        "SEARCH_TOKEN": "secret",
        "PATH": "/bin",
        "HOME": "/home/server",
        "USER": "server",
        "LANG": "C.UTF-8",
    }
