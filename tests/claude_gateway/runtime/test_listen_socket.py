"""The socket that systemd passes according to sd_listen_fds(3).

It is file descriptor 3, so a child process opens it each time.
"""

import os
import socket
import subprocess
import sys

import pytest

_CHILD = """
import os, socket, sys
from claude_gateway.config import FixedSettings
from claude_gateway.core.errors import StartupError
from claude_gateway.runtime.listen_socket import open_listener
environment = {"LISTEN_PID": sys.argv[1] or str(os.getpid()), "LISTEN_FDS": sys.argv[2], "A": "b"}
environment["LISTEN_FDNAMES"] = "http"
try:
    listener = open_listener(FixedSettings(port=0, claude_wrapper_host="127.0.0.1"), environment)
except StartupError as error:
    print("failed:", error)
else:
    print(listener.is_inherited, listener.url, os.get_inheritable(listener.socket.fileno()), environment)
"""


def run_gateway(fd: int, *, pid: str = "", count: str = "1") -> str:
    """Return the output of a gateway that was started with `fd` as its file descriptor 3."""
    argv = [sys.executable, "-c", _CHILD, pid, count]
    script = f"import os; os.dup2({fd}, 3); os.execv({sys.executable!r}, {argv!r})"
    done = subprocess.run([sys.executable, "-c", script], pass_fds=[fd], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_serves_inherited_socket_and_hides_it_from_children() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert run_gateway(listener.fileno()) == f"True http://127.0.0.1:{port} False {{'A': 'b'}}"


def test_shows_ipv6_address_in_brackets() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        assert run_gateway(listener.fileno()).startswith(f"True http://[::1]:{listener.getsockname()[1]} ")


@pytest.mark.parametrize("variables", [{"pid": "1"}, {"count": "0"}, {"count": ""}], ids=["another", "none", "nothing"])
def test_ignores_socket_meant_for_another_process(variables: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        output = run_gateway(listener.fileno(), **variables)
        assert output.startswith("False http://127.0.0.1:")
        assert str(listener.getsockname()[1]) not in output


def test_rejects_several_sockets_or_a_file_that_is_not_a_tcp_socket() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert run_gateway(listener.fileno(), count="2").startswith("failed: systemd passed 2 sockets")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        assert run_gateway(other.fileno()).startswith("failed: systemd passed a socket that is not a TCP socket")
    with open(os.devnull) as file:  # noqa: PTH123
        assert run_gateway(file.fileno()).startswith("failed: systemd passed a file descriptor that is not a socket")
