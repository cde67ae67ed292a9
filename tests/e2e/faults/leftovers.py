"""What a gateway holds of the system, to be compared before and after."""

import asyncio
import re
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import psutil

_PATIENCE_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Holdings:
    """Counted from outside: open descriptors, processes below it, directories and records of workers. Its tasks it
    tells itself, in its metrics."""

    descriptors: int
    processes: int
    directories: int
    records: int
    tasks: int

    def exceeds(self, other: "Holdings") -> list[str]:
        """In what this is more than the other."""
        pairs = {
            "descriptors": (self.descriptors, other.descriptors),
            "processes": (self.processes, other.processes),
            "directories": (self.directories, other.directories),
            "records": (self.records, other.records),
            "tasks": (self.tasks, other.tasks),
        }
        return [f"{mine} {name}, not {theirs}" for name, (mine, theirs) in pairs.items() if mine > theirs]


def holdings(pid: int, state_dir: Path, url: str, key: str) -> Holdings:
    """Of the gateway at `url`, to which `key` has the scope `admin`."""
    tasks = _tasks(url, key)  # first: its connection is a descriptor, and gone by then
    gateway = psutil.Process(pid)
    workers = state_dir / ".claude-gateway-workers"
    return Holdings(
        gateway.num_fds(),
        sum(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in _below(gateway)),
        len(list(workers.glob("w-*/"))),
        len(list(workers.glob("*.pid"))),
        tasks,
    )


def _tasks(url: str, key: str) -> int:
    asked = urllib.request.Request(f"{url}/metrics", headers={"authorization": f"Bearer {key}"})
    with urllib.request.urlopen(asked, timeout=30) as answer:
        found = re.search(r"^gateway_tasks (\S+)$", answer.read().decode(), re.MULTILINE)
    assert found is not None
    return int(float(found[1]))


def _below(process: psutil.Process) -> list[psutil.Process]:
    return [child for child in process.children(recursive=True) if "claude" in " ".join(_argv(child))]


def _argv(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


async def settled(pid: int, state_dir: Path, url: str, key: str, before: Holdings) -> Holdings:
    """What it holds once that is no more than before, or after some time of waiting for that."""
    clock = asyncio.get_running_loop().time
    until = clock() + _PATIENCE_SECONDS
    while True:
        now = await asyncio.to_thread(holdings, pid, state_dir, url, key)
        if not now.exceeds(before) or clock() > until:
            return now
        await asyncio.sleep(0.1)
