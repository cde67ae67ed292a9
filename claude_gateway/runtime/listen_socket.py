"""Listening socket of the gateway. Either the gateway binds it, or systemd passes it to the gateway."""

import os
import socket
import stat
from collections.abc import MutableMapping
from contextlib import ExitStack
from dataclasses import dataclass

from claude_gateway.config import Settings
from claude_gateway.core.errors import StartupError

BACKLOG = 1024
# The first file descriptor of inherited sockets, according to sd_listen_fds(3).
_FIRST_INHERITED_FD = 3
_LISTEN_VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


@dataclass(frozen=True, slots=True)
class Listener:
    """A listening socket.

    Attributes:
        socket: The socket.
        is_inherited: Whether systemd passed the socket to the gateway. systemd then keeps the socket open, so the
            kernel queues connections while no gateway runs.
    """

    socket: socket.socket
    is_inherited: bool = False

    @property
    def url(self) -> str:
        """The URL at which the socket listens."""
        host, port = self.socket.getsockname()[:2]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def open_listener(settings: Settings, environment: MutableMapping[str, str]) -> Listener:
    """Return the listening socket that systemd passed. If systemd passed no socket, bind a socket to `PORT`.

    Raises:
        StartupError: The gateway cannot use the passed socket, or the port is not available.
    """
    inherited = inherit_socket(environment)
    return Listener(inherited, is_inherited=True) if inherited else Listener(bind_socket(settings))


def inherit_socket(environment: MutableMapping[str, str]) -> socket.socket | None:
    """Return the socket that systemd passed to this process according to sd_listen_fds(3); None if it passed no socket.

    The function removes the environment variables of this protocol, so that no child process applies them to itself.

    Raises:
        StartupError: The gateway cannot serve on the passed file descriptor.
    """
    pid, count, _names = (environment.pop(name, "") for name in _LISTEN_VARIABLES)
    if pid != str(os.getpid()) or count in ("", "0"):
        return None
    if count != "1":
        raise StartupError(f"systemd passed {count} sockets, but the gateway serves one: configure one ListenStream.")
    # This check comes first, because a socket object would close a descriptor that another part of the process uses.
    if not stat.S_ISSOCK(os.fstat(_FIRST_INHERITED_FD).st_mode):
        raise StartupError("systemd passed a file descriptor that is not a socket.")
    listener = socket.socket(fileno=_FIRST_INHERITED_FD)
    if listener.family not in (socket.AF_INET, socket.AF_INET6) or listener.type != socket.SOCK_STREAM:
        raise StartupError(
            "systemd passed a socket that is not a TCP socket: set ListenStream to an address and a port."
        )
    listener.set_inheritable(False)
    listener.setblocking(False)
    return listener


def bind_socket(settings: Settings) -> socket.socket:
    """Bind a socket to the address in the settings and listen on it.

    The gateway calls this function before it starts any process.

    Raises:
        StartupError: The port is not available.
    """
    host = settings.claude_wrapper_host
    try:
        family = socket.getaddrinfo(host, settings.port, type=socket.SOCK_STREAM)[0][0]
        with ExitStack() as close_on_error:
            listener = close_on_error.enter_context(socket.socket(family, socket.SOCK_STREAM))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, settings.port))
            listener.listen(BACKLOG)  # without it, a second program could bind the port, too
            close_on_error.pop_all()
    except OSError as error:
        reason = error.strerror or str(error)
        raise StartupError(
            f"Cannot listen on {host} port {settings.port}: {reason}. Set PORT or CLAUDE_WRAPPER_HOST."
        ) from None
    listener.setblocking(False)
    return listener
