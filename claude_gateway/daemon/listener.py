"""The socket that callers connect to: taken here, or handed over by whoever started this program."""

import os
import socket
import stat
from collections.abc import MutableMapping
from contextlib import ExitStack
from dataclasses import dataclass

from claude_gateway.config import Settings
from claude_gateway.start_failed import StartFailed

BACKLOG = 1024
# By the protocol of sd_listen_fds(3): the sockets begin here.
_FIRST_HANDED_OVER = 3
_VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


@dataclass(frozen=True, slots=True)
class Listener:
    """`is_kept`: somebody else has the socket too, so it takes connections while no gateway runs."""

    socket: socket.socket
    is_kept: bool = False

    @property
    def url(self) -> str:
        host, port = self.socket.getsockname()[:2]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def listen(settings: Settings, environment: MutableMapping[str, str]) -> Listener:
    """The socket that systemd handed over, else one of `PORT`. Raises `StartFailed`."""
    kept = handed_over(environment)
    return Listener(kept, is_kept=True) if kept else Listener(bind(settings))


def handed_over(environment: MutableMapping[str, str]) -> socket.socket | None:
    """The listening socket of sd_listen_fds(3). Its variables are taken out, so that no child takes them for its own.

    Raises `StartFailed` for what cannot be served on.
    """
    pid, count, _names = (environment.pop(name, "") for name in _VARIABLES)
    if pid != str(os.getpid()) or count in ("", "0"):
        return None
    if count != "1":
        raise StartFailed(f"systemd handed over {count} sockets, where one is served: give one ListenStream.")
    # Looked at first: what is no socket belongs to somebody else, and is not to be closed with an object of ours.
    if not stat.S_ISSOCK(os.fstat(_FIRST_HANDED_OVER).st_mode):
        raise StartFailed("systemd handed over what is no socket.")
    listener = socket.socket(fileno=_FIRST_HANDED_OVER)
    if listener.family not in (socket.AF_INET, socket.AF_INET6) or listener.type != socket.SOCK_STREAM:
        raise StartFailed("systemd handed over a socket that is none of TCP: give ListenStream an address and a port.")
    listener.set_inheritable(False)
    listener.setblocking(False)
    return listener


def bind(settings: Settings) -> socket.socket:
    """Take the port before anything is started, so that a taken one costs nothing."""
    host = settings.claude_wrapper_host
    try:
        family = socket.getaddrinfo(host, settings.port, type=socket.SOCK_STREAM)[0][0]
        with ExitStack() as unless_taken:
            listener = unless_taken.enter_context(socket.socket(family, socket.SOCK_STREAM))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, settings.port))
            listener.listen(BACKLOG)  # two that only bind do not notice each other
            unless_taken.pop_all()
    except OSError as error:
        reason = error.strerror or str(error)
        raise StartFailed(
            f"Cannot listen on {host} port {settings.port}: {reason}. Set PORT or CLAUDE_WRAPPER_HOST."
        ) from None
    listener.setblocking(False)
    return listener
