"""The socket that systemd hands over, as sd_listen_fds(3) has it: it is file 3, so a child tries it each time."""

import os
import socket
import subprocess
import sys

import pytest

_CHILD = """
import os, socket, sys
from claude_gateway.config import FixedSettings
from claude_gateway.daemon.listener import listen
from claude_gateway.start_failed import StartFailed
environment = {"LISTEN_PID": sys.argv[1] or str(os.getpid()), "LISTEN_FDS": sys.argv[2], "A": "b"}
environment["LISTEN_FDNAMES"] = "http"
try:
    taken = listen(FixedSettings(port=0, claude_wrapper_host="127.0.0.1"), environment)
except StartFailed as error:
    print("failed:", error)
else:
    print(taken.is_kept, taken.url, os.get_inheritable(taken.socket.fileno()), environment)
"""


def taken(fd: int, *, pid: str = "", count: str = "1") -> str:
    """What a gateway says that was started with `fd` as its file 3."""
    argv = [sys.executable, "-c", _CHILD, pid, count]
    script = f"import os; os.dup2({fd}, 3); os.execv({sys.executable!r}, {argv!r})"
    done = subprocess.run([sys.executable, "-c", script], pass_fds=[fd], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_socket_that_is_handed_over_is_served_on_and_no_child_hears_of_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        assert taken(held.fileno()) == f"True http://127.0.0.1:{port} False {{'A': 'b'}}"


def test_one_of_the_newer_internet_is_named_in_brackets() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as held:
        assert taken(held.fileno()).startswith(f"True http://[::1]:{held.getsockname()[1]} ")


@pytest.mark.parametrize("meant", [{"pid": "1"}, {"count": "0"}, {"count": ""}], ids=["another", "none", "nothing"])
def test_what_is_meant_for_somebody_else_is_left_alone(meant: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        said = taken(held.fileno(), **meant)
        assert said.startswith("False http://127.0.0.1:")
        assert str(held.getsockname()[1]) not in said


def test_more_than_one_and_what_is_no_socket_are_refused_in_a_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        assert taken(held.fileno(), count="2").startswith("failed: systemd handed over 2 sockets")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        assert taken(other.fileno()).startswith("failed: systemd handed over a socket that is none of TCP")
    with open(os.devnull) as file:  # noqa: PTH123
        assert taken(file.fileno()).startswith("failed: systemd handed over what is no socket")
