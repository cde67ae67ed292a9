"""Processes that answer come before those that start or do other work."""

import asyncio
import os
import resource
from pathlib import Path

import pytest

from tests.workers.helpers import PATIENCE, soon
from workers import priority
from workers.priority import Priority
from workers.process import Process

TELLS_ITS_PRIORITY = """
import json, os, resource, sys
limit, _ = resource.getrlimit(resource.RLIMIT_NICE)
print(json.dumps({"niceness": os.getpriority(os.PRIO_PROCESS, 0), "limit": limit}), flush=True)
sys.stdin.read()
"""
OWN = os.getpriority(os.PRIO_PROCESS, 0)


async def until_session_has(niceness: int, pid: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while await asyncio.to_thread(session_niceness, pid) not in (None, niceness):
            pass


def session_niceness(pid: int) -> int | None:
    """None where the system has none of sessions."""
    path = Path(f"/proc/{pid}/autogroup")
    return int(path.read_text().split()[-1]) if path.exists() else None


async def start(first: Priority, directory: Path) -> tuple[Process, dict[str, int]]:
    argv = (os.path.realpath("/proc/self/exe"), "-c", TELLS_ITS_PRIORITY)
    process = await Process.spawn(argv, {}, directory, priority=first)
    (told,) = await soon(process.read())
    return process, told


async def test_a_process_starts_at_its_priority_and_its_session_too(tmp_path: Path) -> None:
    process, told = await start(priority.of_later_work(), tmp_path)

    assert told["niceness"] == priority.of_later_work().niceness
    assert told["limit"] <= 20 - told["niceness"]  # it may not take a better one itself
    await until_session_has(told["niceness"], process.pid)
    process.kill()
    await process.ended()


@pytest.mark.skipif(priority.of_starting_chat() == priority.of_chat(), reason="this user may not raise a priority")
async def test_a_process_that_has_started_answers_at_full_priority(tmp_path: Path) -> None:
    process, told = await start(await asyncio.to_thread(priority.of_starting_chat), tmp_path)
    assert told["niceness"] > priority.of_chat().niceness
    await until_session_has(told["niceness"], process.pid)

    await asyncio.to_thread(priority.restore, process.pid)

    assert os.getpriority(os.PRIO_PROCESS, process.pid) == priority.of_chat().niceness
    assert await asyncio.to_thread(session_niceness, process.pid) in (None, priority.of_chat().niceness)
    process.kill()
    await process.ended()


def test_what_answers_is_never_before_the_gateway_itself() -> None:
    assert priority.of_chat().niceness >= max(OWN, 0)
    assert priority.of_later_work().niceness <= 19


def test_a_limit_that_the_system_sets_is_not_exceeded() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NICE)

    for one in (priority.of_chat(), priority.of_later_work(), priority.of_starting_chat()):
        assert one.least <= one.niceness
    assert resource.getrlimit(resource.RLIMIT_NICE)[1] == hard
