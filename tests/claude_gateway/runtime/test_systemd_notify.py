"""Notifications to systemd, received on a socket of the test."""

import asyncio
import os
import socket
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from claude_gateway.runtime.systemd_notify import SystemdNotifier
from tests.workers.helpers import wait_until

Receive = Callable[[], list[str]]


@pytest.fixture(params=["a file", "abstract"])
def notify_socket(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """Return the socket, and its name as systemd passes it."""
    name = str(tmp_path / "notify") if request.param == "a file" else f"@claude-gateway-{uuid.uuid4().hex}"
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as receiver:
        receiver.bind(name.replace("@", "\0") if name.startswith("@") else name)
        receiver.setblocking(False)
        yield name, receiver


def test_notifies_ready_and_stopping(notify_socket: tuple[str, socket.socket]) -> None:
    name, receiver = notify_socket
    notifier = SystemdNotifier({"NOTIFY_SOCKET": name})

    notifier.notify_ready("Serving on http://127.0.0.1:8000")
    notifier.notify_reloading()
    notifier.notify_stopping()

    assert receiver.recv(4096) == b"READY=1\nSTATUS=Serving on http://127.0.0.1:8000"
    assert receiver.recv(4096).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
    assert receiver.recv(4096).startswith(b"STOPPING=1\n")


async def test_sends_watchdog_ping_only_while_healthy(notify_socket: tuple[str, socket.socket]) -> None:
    name, receiver = notify_socket
    notifier = SystemdNotifier({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "2000", "WATCHDOG_PID": str(os.getpid())})
    is_healthy = True
    check_count = 0

    def check_health() -> bool:
        nonlocal check_count
        check_count += 1
        return is_healthy

    loop = asyncio.get_running_loop()
    async with notifier.watchdog(check_health):
        for _ in range(2):
            assert await loop.sock_recv(receiver, 4096) == b"WATCHDOG=1"
        is_healthy = False
        with suppress(BlockingIOError):
            while True:
                receiver.recv(4096)  # sent while the gateway was healthy
        before = check_count
        await wait_until(lambda: check_count >= before + 3)
        with pytest.raises(BlockingIOError):
            receiver.recv(4096)


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"NOTIFY_SOCKET": "/nowhere/at/all", "WATCHDOG_USEC": "1000"},
        {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"},
        {"WATCHDOG_USEC": "nonsense"},
    ],
)
async def test_does_nothing_without_notify_socket(environment: dict[str, str]) -> None:
    notifier = SystemdNotifier(environment)

    async with notifier.watchdog(lambda: True):
        notifier.notify_ready("unheard")
        notifier.notify_stopping()
