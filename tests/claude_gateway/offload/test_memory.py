"""Return of free memory to the system."""

import subprocess
import sys

ALLOCATION_PROGRAM = """
import os
from pathlib import Path
from claude_gateway.offload.memory import limit_retained_memory, release_free_memory

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

limit_retained_memory()
bytearray(32 * 2**20)  # by default the C library would keep blocks of up to this size afterwards
before = resident()
large, small = [], []
for _ in range(200):
    large.append(bytearray(b"x") * 300_000)
    small.append(bytearray(b"x") * 2_000)
allocated = resident() - before
del large
release_free_memory()
print(allocated // 2**20, (resident() - before) // 2**20)
"""


def test_releases_large_blocks_between_small_ones() -> None:
    process = subprocess.run(
        [sys.executable, "-c", ALLOCATION_PROGRAM], capture_output=True, text=True, check=True, timeout=60
    )

    allocated_mib, remaining_mib = map(int, process.stdout.split())
    assert allocated_mib > 50
    assert remaining_mib < 5
