"""Tests of the memory of the machine and of control groups, with the files of a fake machine."""

from pathlib import Path

import psutil
import pytest

from workers.core.memory_state import MemoryState
from workers.host.memory_state import _read_memory_state, read_memory_state

MIB = 2**20
MACHINE_MIB, AVAILABLE_MIB = 8_000, 6_000


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the root directory of a machine whose gateway runs in the group `system.slice/gateway.service`."""
    memory = psutil.virtual_memory()._replace(total=MACHINE_MIB * MIB, available=AVAILABLE_MIB * MIB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    write(tmp_path / "proc/self/cgroup", "0::/system.slice/gateway.service\n")
    write(tmp_path / "proc/pressure/memory", describe_pressure(1.5))
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def describe_pressure(percent: float) -> str:
    return f"some avg10={percent:.2f} avg60=0.00 avg300=0.00 total=1\nfull avg10=99.00 avg60=0.00 avg300=0.00 total=1\n"


def write_group(root: Path, name: str, *, used_mib: int = 0, inactive_mib: int = 0, **files: str) -> None:
    """Write the files of a control group. `files` contains, for example, the text of `memory.max` as `max`."""
    group = root / "sys/fs/cgroup" / name
    write(group / "memory.current", f"{used_mib * MIB}\n")
    write(group / "memory.stat", f"anon 12\ninactive_file {inactive_mib * MIB}\nactive_file 7\n")
    for file, text in files.items():
        write(group / f"memory.{file}", text)


async def test_reads_the_memory_of_this_machine() -> None:
    state = await read_memory_state()
    assert state.total_mib >= state.available_mib > 0
    assert 0 <= state.pressure_percent <= 100


def test_reads_the_machine_if_no_group_has_a_limit(machine: Path) -> None:
    write_group(machine, "system.slice/gateway.service", max="max\n", high="max\n")
    assert _read_memory_state(machine) == MemoryState(MACHINE_MIB, AVAILABLE_MIB, 1.5)


def test_reads_the_limit_of_a_group_without_the_cache_that_the_kernel_can_free(machine: Path) -> None:
    name = "system.slice/gateway.service"
    write_group(machine, name, max=f"{2_000 * MIB}\n", high="max\n", used_mib=1_500, inactive_mib=300)
    assert _read_memory_state(machine) == MemoryState(2_000, 800, 1.5, is_group_limit=True)


def test_lower_one_of_two_limits_of_a_group_counts(machine: Path) -> None:
    write_group(machine, "system.slice/gateway.service", max=f"{2_000 * MIB}", high=f"{1_000 * MIB}", used_mib=400)
    assert _read_memory_state(machine) == MemoryState(1_000, 600, 1.5, is_group_limit=True)


def test_limit_that_is_lowered_while_the_gateway_runs_counts_at_once(machine: Path) -> None:
    name = "system.slice/gateway.service"
    write_group(machine, name, max=f"{2_000 * MIB}", used_mib=1_000)
    assert not _read_memory_state(machine).is_scarce
    write_group(machine, name, max=f"{900 * MIB}", used_mib=1_000)
    lowered = _read_memory_state(machine)
    assert (lowered.total_mib, lowered.available_mib, lowered.is_scarce) == (900, 0, True)


def test_limit_of_the_parent_group_counts_and_that_of_a_sibling_does_not(machine: Path) -> None:
    write_group(machine, "system.slice/gateway.service", max=f"{4_000 * MIB}", used_mib=200)
    write_group(machine, "system.slice", max=f"{3_000 * MIB}", used_mib=2_900)
    write_group(machine, "user.slice", max=f"{100 * MIB}", used_mib=100)
    assert _read_memory_state(machine) == MemoryState(3_000, 100, 1.5, is_group_limit=True)


def test_group_is_the_root_of_the_file_system_in_a_container(machine: Path) -> None:
    write(machine / "proc/self/cgroup", "0::/\n")
    write_group(machine, ".", max=f"{512 * MIB}", used_mib=12)
    assert _read_memory_state(machine) == MemoryState(512, 500, 1.5, is_group_limit=True)


def test_limit_above_the_memory_of_the_machine_does_not_count(machine: Path) -> None:
    write_group(machine, "system.slice/gateway.service", max=f"{99_000 * MIB}", used_mib=98_000)
    assert _read_memory_state(machine) == MemoryState(MACHINE_MIB, 1_000, 1.5)


def test_pressure_of_the_group_with_the_least_memory_counts(machine: Path) -> None:
    write_group(machine, "system.slice/gateway.service", max=f"{2_000 * MIB}", pressure=describe_pressure(31.25))
    state = _read_memory_state(machine)
    assert (state.pressure_percent, state.is_scarce) == (31.25, True)


def test_reads_the_machine_if_files_are_missing(machine: Path) -> None:
    for name in ("proc/self/cgroup", "proc/pressure/memory"):
        (machine / name).unlink()
    assert _read_memory_state(machine) == MemoryState(MACHINE_MIB, AVAILABLE_MIB)


def test_limit_without_the_used_memory_does_not_count(machine: Path) -> None:
    write(machine / "sys/fs/cgroup/system.slice/memory.max", f"{100 * MIB}")
    assert _read_memory_state(machine) == MemoryState(MACHINE_MIB, AVAILABLE_MIB, 1.5)


def test_finds_the_group_beside_those_of_the_old_hierarchy(machine: Path) -> None:
    write(machine / "proc/self/cgroup", "4:memory:/other\n1:cpu:/\n0::/mine\n")
    write_group(machine, "mine", max=f"{700 * MIB}")
    assert _read_memory_state(machine).total_mib == 700


@pytest.mark.parametrize(
    "garbage", ["", "\n", "-1", "many", "12 34", "0x10", "some avg10=1.2.3.4", "some avg10=..", "\x00"]
)
def test_ignores_files_with_garbage(machine: Path, garbage: str) -> None:
    group = machine / "sys/fs/cgroup/system.slice/gateway.service"
    for name in ("max", "high", "current", "stat", "pressure"):
        write(group / f"memory.{name}", garbage)
    write(machine / "proc/pressure/memory", garbage.replace("1.2.3.4", "x"))
    assert _read_memory_state(machine) == MemoryState(MACHINE_MIB, AVAILABLE_MIB)


def test_ignores_files_that_are_not_text(machine: Path) -> None:
    (machine / "proc/self/cgroup").write_bytes(b"\xff\xfe0::/x")
    (machine / "proc/pressure/memory").write_bytes(b"\xff")
    assert _read_memory_state(machine) == MemoryState(MACHINE_MIB, AVAILABLE_MIB)


@pytest.mark.parametrize(
    ("state", "is_scarce"),
    [
        (MemoryState(1_000, 80), False),
        (MemoryState(1_000, 79), True),
        (MemoryState(1_000, 900, 20.0), False),
        (MemoryState(1_000, 900, 20.1), True),
    ],
)
def test_memory_is_scarce_below_the_share_or_above_the_pressure(state: MemoryState, is_scarce: bool) -> None:
    assert state.is_scarce is is_scarce
