"""Runs a program as the unit would have it run, as far as that can be had without systemd.

    /usr/bin/python3 confined.py UNIT VISIBLE STATE PROGRAM ARGUMENT…

Taken from the unit: the filter of system calls, the kinds of namespaces and of addresses. Done as systemd does for the
rest of it: an own /proc that shows no foreign process, an own small /dev and /tmp, everything else read-only but STATE,
no capabilities, no way to new ones, a namespace with one user. VISIBLE are directories, with colons between, that must
be seen although they may lie in a home. Needs root, and Debian's python3-seccomp.
"""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import seccomp

USER = 61998
_CAPABILITIES = 64
_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNS, _CLONE_NEWUSER = 0x00020000, 0x10000000
_PR_SET_DUMPABLE, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 4, 24, 38
_NAMESPACES = {
    "cgroup": 0x02000000,
    "ipc": 0x08000000,
    "mnt": _CLONE_NEWNS,
    "net": 0x40000000,
    "pid": 0x20000000,
    "user": _CLONE_NEWUSER,
    "uts": 0x04000000,
}
_FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10, "AF_NETLINK": 16}
_EPERM, _ENOSYS, _EAFNOSUPPORT = 1, 38, 97

_MOUNTS = """
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
    directives = _read(Path(unit))
    allowed = _system_calls(directives["SystemCallFilter"])
    _check(_libc.unshare(_CLONE_NEWNS))
    names = {"VISIBLE": visible.replace(":", " "), "STATE": state, "USER_ID": str(USER)}
    subprocess.run(["sh", "-c", _MOUNTS], check=True, env={**os.environ, **names})
    os.chdir(state)
    os.setgroups([])
    for capability in range(_CAPABILITIES):
        _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    os.setresgid(USER, USER, USER)
    os.setresuid(USER, USER, USER)
    _check(_libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0))  # else its own /proc is root's
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _check(_libc.unshare(_CLONE_NEWUSER))
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{USER} {USER} 1")
    Path("/proc/self/gid_map").write_text(f"{USER} {USER} 1")
    _filter(allowed, directives).load()
    os.execv(argv[0], argv)


def _read(unit: Path) -> dict[str, list[str]]:
    directives: dict[str, list[str]] = {}
    for line in unit.read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            directives.setdefault(name, []).extend(value.split() if not value.startswith("~") else [value])
    return directives


def _system_calls(values: list[str]) -> set[str]:
    allowed: set[str] = set()
    for value in values:
        if value.startswith("~"):
            for one in value[1:].split():
                allowed -= _expanded(one)
        else:
            allowed |= _expanded(value)
    return allowed | _expanded("@default")


def _expanded(name: str) -> set[str]:
    if not name.startswith("@"):
        return {name}
    listed = subprocess.run(
        ["systemd-analyze", "syscall-filter", name], check=True, capture_output=True, text=True
    ).stdout
    words = [line.strip() for line in listed.splitlines()[1:] if line.strip() and not line.strip().startswith("#")]
    return {call for word in words for call in _expanded(word)}


def _filter(allowed: set[str], directives: dict[str, list[str]]) -> seccomp.SyscallFilter:
    found = seccomp.SyscallFilter(seccomp.ERRNO(_EPERM))
    forbidden = sum(flag for kind, flag in _NAMESPACES.items() if kind not in directives["RestrictNamespaces"])
    for call in sorted(allowed - {"clone", "clone3", "unshare", "socket"}):
        try:
            found.add_rule(seccomp.ALLOW, call)
        except (RuntimeError, ValueError, OSError):
            continue  # of another architecture, or newer than the library
    for call in ("clone", "unshare"):
        found.add_rule(seccomp.ALLOW, call, seccomp.Arg(0, seccomp.MASKED_EQ, forbidden, 0))
    # Its flags are behind a pointer, where no filter sees them: systemd, too, has it that there is none.
    found.add_rule(seccomp.ERRNO(_ENOSYS), "clone3")
    for family in directives["RestrictAddressFamilies"]:
        found.add_rule(seccomp.ALLOW, "socket", seccomp.Arg(0, seccomp.EQ, _FAMILIES[family]))
    return found


def _check(status: int) -> None:
    if status:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


if __name__ == "__main__":
    main()
