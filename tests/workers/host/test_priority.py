"""Chat processes have a higher priority than processes that start or do other work."""

import asyncio
import os
import resource
import threading
from pathlib import Path

import pytest

from tests.workers.helpers import TIMEOUT_SECONDS, with_timeout
from workers.cli import process as process_module
from workers.cli.process import Process
from workers.host import priority
from workers.host.priority import Priority

PRINTS_ITS_PRIORITY = """
import json, os, resource, sys
limit, _ = resource.getrlimit(resource.RLIMIT_NICE)
print(json.dumps({"niceness": os.getpriority(os.PRIO_PROCESS, 0), "limit": limit}), flush=True)
sys.stdin.read()
"""
TEST_NICENESS = os.getpriority(os.PRIO_PROCESS, 0)


async def wait_for_session_niceness(niceness: int, pid: int) -> None:
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while await asyncio.to_thread(session_niceness, pid) not in (None, niceness):
            pass


def session_niceness(pid: int) -> int | None:
    """Return the niceness of a session; None if the system does not have it."""
    path = Path(f"/proc/{pid}/autogroup")
    return int(path.read_text().split()[-1]) if path.exists() else None


async def start(start_priority: Priority, directory: Path) -> tuple[Process, dict[str, int]]:
    argv = (os.path.realpath("/proc/self/exe"), "-c", PRINTS_ITS_PRIORITY)
    process = await Process.spawn(argv, {}, directory, priority=start_priority)
    (reported,) = await with_timeout(process.read())
    return process, reported


async def test_starts_a_process_and_its_session_at_the_given_priority(tmp_path: Path) -> None:
    process, reported = await start(priority.get_background_priority(), tmp_path)

    assert reported["niceness"] == priority.get_background_priority().niceness
    assert reported["limit"] <= 20 - reported["niceness"]  # it cannot raise its priority itself
    await wait_for_session_niceness(reported["niceness"], process.pid)
    process.kill()
    await process.wait_exited()


@pytest.mark.skipif(
    priority.get_starting_priority() == priority.get_chat_priority(), reason="this user cannot raise a priority"
)
async def test_restores_the_chat_priority_of_a_started_process(tmp_path: Path) -> None:
    process, reported = await start(await asyncio.to_thread(priority.get_starting_priority), tmp_path)
    assert reported["niceness"] > priority.get_chat_priority().niceness
    await wait_for_session_niceness(reported["niceness"], process.pid)

    await process.restore_priority()

    assert os.getpriority(os.PRIO_PROCESS, process.pid) == priority.get_chat_priority().niceness
    assert await asyncio.to_thread(session_niceness, process.pid) in (None, priority.get_chat_priority().niceness)
    process.kill()
    await process.wait_exited()


def test_never_puts_a_chat_process_above_the_gateway() -> None:
    assert priority.get_chat_priority().niceness >= max(TEST_NICENESS, 0)
    assert priority.get_background_priority().niceness <= 19


def test_reading_priorities_keeps_the_limits_of_the_system() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NICE)

    for process_priority in (
        priority.get_chat_priority(),
        priority.get_background_priority(),
        priority.get_starting_priority(),
    ):
        assert process_priority.min_niceness <= process_priority.niceness
    assert resource.getrlimit(resource.RLIMIT_NICE)[1] == hard


class SessionNiceness:
    """Stands in for the niceness of a session: records each write, and fails as often as the test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, busy_count: int = 0, refusal: OSError | None = None) -> None:
        self.written: list[int] = []
        self.attempt_count = 0
        self._busy_count = busy_count
        self._refusal = refusal
        monkeypatch.setattr(priority, "Path", lambda _: self)
        monkeypatch.setattr(priority.time, "sleep", lambda _: None)

    def write_text(self, text: str) -> None:
        self.attempt_count += 1
        if self._refusal:
            raise self._refusal
        if self.attempt_count <= self._busy_count:
            raise BlockingIOError
        self.written.append(int(text))

    def iterdir(self) -> list[Path]:
        return []


RESTORED_LATER = Priority(niceness=10, min_niceness=0)
NEVER_RESTORED = Priority(niceness=10, min_niceness=10)


def test_a_niceness_that_is_restored_later_is_written_in_one_attempt_or_not_at_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    busy = SessionNiceness(monkeypatch, busy_count=1)
    assert not priority.lower_session_priority(1, RESTORED_LATER)
    assert (busy.attempt_count, busy.written) == (1, [])

    free = SessionNiceness(monkeypatch)
    assert priority.lower_session_priority(1, RESTORED_LATER)
    assert free.written == [10]


def test_a_niceness_that_stays_is_written_until_it_succeeds(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = SessionNiceness(monkeypatch, busy_count=3)
    assert priority.lower_session_priority(1, NEVER_RESTORED)
    assert busy.written == [10]


@pytest.mark.parametrize("refusal", [FileNotFoundError(), PermissionError()], ids=["not there", "not allowed"])
def test_a_system_that_refuses_is_asked_once(monkeypatch: pytest.MonkeyPatch, refusal: OSError) -> None:
    refusing = SessionNiceness(monkeypatch, refusal=refusal)
    assert not priority.set_session_niceness(1, 10)
    assert refusing.attempt_count == 1


def test_a_niceness_is_restored_only_if_it_was_lowered(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = SessionNiceness(monkeypatch, busy_count=3)
    priority.restore_chat_priority(1, with_session=True)
    assert busy.written == [priority.get_chat_priority().niceness]

    untouched = SessionNiceness(monkeypatch)
    priority.restore_chat_priority(1, with_session=False)
    assert untouched.attempt_count == 0


async def test_a_restore_waits_for_the_attempt_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    may_write = threading.Event()
    steps: list[str] = []

    def lower(pid: int, first: Priority) -> bool:
        may_write.wait(TIMEOUT_SECONDS)
        steps.append("lowered")
        return True

    def restore(pid: int, *, with_session: bool) -> None:
        steps.append(f"restored, session {with_session}")

    monkeypatch.setattr(process_module, "lower_session_priority", lower)
    monkeypatch.setattr(process_module, "restore_chat_priority", restore)
    process, _ = await start(priority.get_background_priority(), tmp_path)
    restoring = asyncio.create_task(process.restore_priority())
    await asyncio.sleep(0)
    may_write.set()
    await with_timeout(restoring)

    assert steps == ["lowered", "restored, session True"]
    process.kill()
    await process.wait_exited()
