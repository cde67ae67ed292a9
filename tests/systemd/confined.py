"""Run a program as the unit would run it, as far as that is possible without systemd.

    /usr/bin/python3 confined.py UNIT VISIBLE STATE PROGRAM ARGUMENT…

The unit defines the filter of system calls and the permitted kinds of namespaces and addresses. The rest is done as
systemd does it: an own /proc that shows no other process, an own small /dev and /tmp, everything read-only except
STATE, no capabilities and no way to new ones, and a namespace with one user. VISIBLE are directories, separated by
colons, that must be visible even if they are in a home directory. Needs root, and Debian's python3-seccomp.
"""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import seccomp

SERVICE_UID = 61998
_CAPABILITY_COUNT = 64
_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNS, _CLONE_NEWUSER = 0x00020000, 0x10000000
_PR_SET_DUMPABLE, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 4, 24, 38
_NAMESPACE_FLAGS = {
    "cgroup": 0x02000000,
    "ipc": 0x08000000,
    "mnt": _CLONE_NEWNS,
    "net": 0x40000000,
    "pid": 0x20000000,
    "user": _CLONE_NEWUSER,
    "uts": 0x04000000,
}
_ADDRESS_FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10, "AF_NETLINK": 16}
_EPERM, _ENOSYS, _EAFNOSUPPORT = 1, 38, 97

_MOUNT_SCRIPT = """
set -e
mount --make-rprivate /
mkdir -p "$STATE" && chown $USER_ID:$USER_ID "$STATE" && chmod 700 "$STATE"
mount -t tmpfs -o mode=755,nosuid,noexec tmpfs /mnt
mkdir /mnt/state /mnt/dev
mount --bind "$STATE" /mnt/state
number=0
for path in $VISIBLE; do
    number=$((number + 1))
    mkdir /mnt/$number && mount --bind $path /mnt/$number
done
mount -t proc -o nosuid,nodev,noexec,hidepid=invisible proc /proc
for device in null zero full random urandom tty; do cp -a /dev/$device /mnt/dev/; done
ln -s pts/ptmx /mnt/dev/ptmx
ln -s /proc/self/fd /mnt/dev/fd
mkdir /mnt/dev/pts /mnt/dev/shm
mount --bind /mnt/dev /dev
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
for home in /root /home; do mount -t tmpfs -o mode=755 tmpfs $home; done
for scratch in /tmp /var/tmp; do mount -t tmpfs -o mode=1777 tmpfs $scratch; done
number=0
for path in $VISIBLE; do
    number=$((number + 1))
    mkdir -p $path && mount --bind /mnt/$number $path && mount -o remount,bind,ro $path
done
mkdir -p "$STATE" && mount --bind /mnt/state "$STATE"
mount -o remount,bind,ro /
"""


def main() -> None:
    unit, visible, state, *argv = sys.argv[1:]
    directives = _read_unit(Path(unit))
    allowed = _allowed_system_calls(directives["SystemCallFilter"])
    _check_status(_libc.unshare(_CLONE_NEWNS))
    names = {"VISIBLE": visible.replace(":", " "), "STATE": state, "USER_ID": str(SERVICE_UID)}
    subprocess.run(["sh", "-c", _MOUNT_SCRIPT], check=True, env={**os.environ, **names})
    os.chdir(state)
    os.setgroups([])
    for capability in range(_CAPABILITY_COUNT):
        _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    os.setresgid(SERVICE_UID, SERVICE_UID, SERVICE_UID)
    os.setresuid(SERVICE_UID, SERVICE_UID, SERVICE_UID)
    _check_status(_libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0))  # otherwise root owns the /proc files of this process
    _check_status(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _check_status(_libc.unshare(_CLONE_NEWUSER))
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{SERVICE_UID} {SERVICE_UID} 1")
    Path("/proc/self/gid_map").write_text(f"{SERVICE_UID} {SERVICE_UID} 1")
    _build_filter(allowed, directives).load()
    os.execv(argv[0], argv)


def _read_unit(unit: Path) -> dict[str, list[str]]:
    directives: dict[str, list[str]] = {}
    for line in unit.read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            directives.setdefault(name, []).extend(value.split() if not value.startswith("~") else [value])
    return directives


def _allowed_system_calls(values: list[str]) -> set[str]:
    allowed: set[str] = set()
    for value in values:
        if value.startswith("~"):
            for name in value[1:].split():
                allowed -= _expand_group(name)
        else:
            allowed |= _expand_group(value)
    return allowed | _expand_group("@default")


def _expand_group(name: str) -> set[str]:
    if not name.startswith("@"):
        return {name}
    output = subprocess.run(
        ["systemd-analyze", "syscall-filter", name], check=True, capture_output=True, text=True
    ).stdout
    words = [line.strip() for line in output.splitlines()[1:] if line.strip() and not line.strip().startswith("#")]
    return {call for word in words for call in _expand_group(word)}


def _build_filter(allowed: set[str], directives: dict[str, list[str]]) -> seccomp.SyscallFilter:
    filter_ = seccomp.SyscallFilter(seccomp.ERRNO(_EPERM))
    forbidden = sum(flag for kind, flag in _NAMESPACE_FLAGS.items() if kind not in directives["RestrictNamespaces"])
    for call in sorted(allowed - {"clone", "clone3", "unshare", "socket"}):
        try:
            filter_.add_rule(seccomp.ALLOW, call)
        except (RuntimeError, ValueError, OSError):
            continue  # a call of another architecture, or newer than the library
    for call in ("clone", "unshare"):
        filter_.add_rule(seccomp.ALLOW, call, seccomp.Arg(0, seccomp.MASKED_EQ, forbidden, 0))
    # The flags of clone3 are behind a pointer, where no filter can read them. systemd, too, makes clone3 fail.
    filter_.add_rule(seccomp.ERRNO(_ENOSYS), "clone3")
    for family in directives["RestrictAddressFamilies"]:
        filter_.add_rule(seccomp.ALLOW, "socket", seccomp.Arg(0, seccomp.EQ, _ADDRESS_FAMILIES[family]))
    return filter_


def _check_status(status: int) -> None:
    if status:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


if __name__ == "__main__":
    main()
