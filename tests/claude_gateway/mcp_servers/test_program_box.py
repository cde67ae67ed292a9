"""What of the disk a program is shown, in which order, and how much it may take."""

from dataclasses import replace
from pathlib import Path

import pytest

from claude_gateway.mcp_servers.program_box import ProgramBox, boxed, environment
from claude_gateway.mcp_servers.server import Program

BOX = ProgramBox(None, 100, readable=("/srv/b", "/srv/a/deep"), writable=("/srv/a",), hidden=("/srv/b/state",))


def mounts(argv: tuple[str, ...]) -> list[tuple[str, str]]:
    kinds = ("--ro-bind-try", "--bind-try", "--tmpfs")
    found = [(word, argv[n + 1]) for n, word in enumerate(argv) if word in kinds]
    return [one for one in found if not one[1].startswith(("/usr", "/bin", "/sbin", "/lib", "/etc"))]


@pytest.mark.parametrize("user", [None, 61_999])
def test_what_holds_another_is_mounted_before_it_and_what_is_hidden_last(user: int | None) -> None:
    assert mounts(boxed(replace(BOX, user=user), ("search",), Path("/state/homes/1"))) == [
        ("--tmpfs", "/tmp"),
        ("--bind-try", "/srv/a"),
        ("--ro-bind-try", "/srv/a/deep"),
        ("--ro-bind-try", "/srv/b"),
        ("--tmpfs", "/srv/b/state"),
        ("--bind-try", "/state/homes/1"),
    ]


def test_limits_stand_before_the_program_and_the_network_is_left() -> None:
    argv = boxed(BOX, ("search", "--all"), Path("/state/homes/1"))

    assert argv[-3:] == ("--", "search", "--all")
    assert {"--data=100:100", "--core=0"} < set(argv[argv.index("prlimit") :])
    assert "--unshare-pid" in argv
    assert "--unshare-net" not in argv


def test_the_environment_is_what_is_registered_and_four_others() -> None:
    program = Program(("search",), {"SEARCH_TOKEN": "secret", "HOME": "/elsewhere"})

    assert environment(program, "/home/server", "/bin") == {
        "SEARCH_TOKEN": "secret",
        "PATH": "/bin",
        "HOME": "/home/server",
        "USER": "server",
        "LANG": "C.UTF-8",
    }
