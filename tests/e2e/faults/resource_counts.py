"""System resources that a gateway holds, to be compared before and after a load."""

import asyncio
import re
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import psutil

_TIMEOUT_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class ResourceCounts:
    """Resources of the gateway: open descriptors, child processes, directories and process records, and tasks.

    The tasks come from its metrics, the rest is counted from outside.
    """

    descriptors: int
    processes: int
    directories: int
    records: int
    tasks: int

    def find_increases(self, baseline: "ResourceCounts") -> list[str]:
        """Return a text for each count that is larger than in `baseline`."""
        pairs = {
            "descriptors": (self.descriptors, baseline.descriptors),
            "processes": (self.processes, baseline.processes),
            "directories": (self.directories, baseline.directories),
            "records": (self.records, baseline.records),
            "tasks": (self.tasks, baseline.tasks),
        }
        return [f"{mine} {name}, not {theirs}" for name, (mine, theirs) in pairs.items() if mine > theirs]


def count_resources(pid: int, state_dir: Path, url: str, api_key: str) -> ResourceCounts:
    """Count the resources of the gateway at `url`. `api_key` needs the scope `admin`."""
    tasks = _get_task_count(
        url, api_key
    )  # first, so that its own connection is closed before the descriptors are counted
    gateway = psutil.Process(pid)
    workers = state_dir / ".claude-gateway-workers"
    return ResourceCounts(
        gateway.num_fds(),
        sum(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in _child_processes(gateway)),
        len(list(workers.glob("w-*/"))),
        len(list(workers.glob("*.pid"))),
        tasks,
    )


def _get_task_count(url: str, api_key: str) -> int:
    request = urllib.request.Request(f"{url}/metrics", headers={"authorization": f"Bearer {api_key}"})
    with urllib.request.urlopen(request, timeout=30) as response:
        match = re.search(r"^gateway_asyncio_tasks (\S+)$", response.read().decode(), re.MULTILINE)
    assert match is not None
    return int(float(match[1]))


def _child_processes(process: psutil.Process) -> list[psutil.Process]:
    return [child for child in process.children(recursive=True) if "claude" in " ".join(_command_line(child))]


def _command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


async def wait_for_baseline(
    pid: int, state_dir: Path, url: str, api_key: str, baseline: ResourceCounts
) -> ResourceCounts:
    """Wait until the gateway holds no more than `baseline`, or for a timeout, and return its resources."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + _TIMEOUT_SECONDS
    while True:
        counts = await asyncio.to_thread(count_resources, pid, state_dir, url, api_key)
        if not counts.find_increases(baseline) or clock() > deadline:
            return counts
        await asyncio.sleep(0.1)
