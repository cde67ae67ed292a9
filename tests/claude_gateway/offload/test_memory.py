"""Memory that large requests took goes back to the system."""

import subprocess
import sys

HOLES = """
import os
from pathlib import Path
from claude_gateway.offload.memory import give_back, keep_little

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

keep_little()
bytearray(32 * 2**20)  # by itself the C library would keep blocks of up to this size from now on
before = resident()
large, small = [], []
for _ in range(200):
    large.append(bytearray(b"x") * 300_000)
    small.append(bytearray(b"x") * 2_000)
held = resident() - before
del large
give_back()
print(held // 2**20, (resident() - before) // 2**20)
"""


def test_large_blocks_between_small_ones_leave_no_holes() -> None:
    done = subprocess.run([sys.executable, "-c", HOLES], capture_output=True, text=True, check=True, timeout=60)

    held, left = map(int, done.stdout.split())
    assert held > 50
    assert left < 5
