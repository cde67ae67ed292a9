"""What systemd is told, heard on a socket of the test's own."""

import asyncio
import os
import socket
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from claude_gateway.daemon.service_manager import ServiceManager
from tests.workers.helpers import until

Hear = Callable[[], list[str]]


@pytest.fixture(params=["a file", "abstract"])
def told(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """The socket, and its name as systemd gives it."""
    name = str(tmp_path / "notify") if request.param == "a file" else f"@claude-gateway-{uuid.uuid4().hex}"
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as listening:
        listening.bind(name.replace("@", "\0") if name.startswith("@") else name)
        listening.setblocking(False)
        yield name, listening


def test_it_is_told_of_ready_and_stopping(told: tuple[str, socket.socket]) -> None:
    name, listening = told
    manager = ServiceManager({"NOTIFY_SOCKET": name})

    manager.ready("Serving on http://127.0.0.1:8000")
    manager.reloading()
    manager.stopping()

    assert listening.recv(4096) == b"READY=1\nSTATUS=Serving on http://127.0.0.1:8000"
    assert listening.recv(4096).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
    assert listening.recv(4096).startswith(b"STOPPING=1\n")


async def test_a_sign_of_life_comes_while_all_is_well_and_only_then(told: tuple[str, socket.socket]) -> None:
    name, listening = told
    manager = ServiceManager({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "2000", "WATCHDOG_PID": str(os.getpid())})
    is_well = True
    asked = 0

    def well() -> bool:
        nonlocal asked
        asked += 1
        return is_well

    loop = asyncio.get_running_loop()
    async with manager.watchdog(well):
        for _ in range(2):
            assert await loop.sock_recv(listening, 4096) == b"WATCHDOG=1"
        is_well = False
        with suppress(BlockingIOError):
            while True:
                listening.recv(4096)  # of the time when all was well
        before = asked
        await until(lambda: asked >= before + 3)
        with pytest.raises(BlockingIOError):
            listening.recv(4096)


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"NOTIFY_SOCKET": "/nowhere/at/all", "WATCHDOG_USEC": "1000"},
        {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"},
        {"WATCHDOG_USEC": "nonsense"},
    ],
)
async def test_where_there_is_none_nothing_happens(environment: dict[str, str]) -> None:
    manager = ServiceManager(environment)

    async with manager.watchdog(lambda: True):
        manager.ready("unheard")
        manager.stopping()
