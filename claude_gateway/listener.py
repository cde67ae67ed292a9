"""The socket that callers connect to."""

import socket

from claude_gateway.config import Settings
from claude_gateway.start_failed import StartFailed

BACKLOG = 1024


def bind(settings: Settings) -> socket.socket:
    """Take the port before anything is started, so that a taken one costs nothing."""
    host = settings.claude_wrapper_host
    try:
        family = socket.getaddrinfo(host, settings.port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, settings.port))
        listener.listen(BACKLOG)  # two that only bind do not notice each other
    except OSError as error:
        reason = error.strerror or str(error)
        raise StartFailed(
            f"Cannot listen on {host} port {settings.port}: {reason}. Set PORT or CLAUDE_WRAPPER_HOST."
        ) from None
    listener.setblocking(False)
    return listener
