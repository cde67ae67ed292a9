"""Bubblewrap around a process: what it sees of the disk, as whom it runs, and that it is alone. Pure.

It sees the system's programs read-only and whatever else it is shown, is in namespaces of its own for users, processes
and System V's segments, and dies with this program. The network is left as it is.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

# Inside it is this one, whoever it is outside.
_INNER_USER = "1000"
_NAMESPACES = ("--unshare-user", "--uid", _INNER_USER, "--gid", _INNER_USER, "--unshare-pid", "--unshare-ipc")
# Threads count too: the CLI alone has some twenty.
_MOST_PROCESSES = 400
# What of a stack may be taken at first, and at most.
_STACK_BYTES = (8 * 1024 * 1024, 64 * 1024 * 1024)
_SCRATCH_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Shown:
    """What stands at `source` outside is at `target` inside, where it is there. Where `source` is None, it is a
    directory in memory: for everybody in the box, or for nobody where it is not writable."""

    source: str | None
    target: str
    writable: bool = False


SYSTEM = tuple(
    Shown(path, path)
    for path in (
        *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64"),
        *("/etc/ssl", "/etc/pki", "/etc/ca-certificates", "/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf"),
        *("/etc/alternatives", "/etc/ld.so.cache", "/etc/localtime", "/etc/mime.types", "/etc/magic", "/etc/fonts"),
    )
)


def scratch(path: str, mode: str = "0700") -> tuple[str, ...]:
    """Words for a directory in memory that goes with the process."""
    return ("--perms", mode, "--size", str(_SCRATCH_BYTES), "--tmpfs", path)


def of_one_process(bytes_allocated: int) -> tuple[str, ...]:
    """Words of `prlimit` for the memory that a process has to itself, and not for addresses: node and Java reserve many
    gigabytes of those. Nothing in the box can raise them again."""
    stack, largest_stack = _STACK_BYTES
    return (f"--data={bytes_allocated}:{bytes_allocated}", f"--stack={stack}:{largest_stack}")


def of_all(largest_file: int) -> tuple[str, ...]:
    """Words of `prlimit` that hold for whatever is in the box."""
    return (f"--nproc={_MOST_PROCESSES}", f"--fsize={largest_file}", "--core=0")


def programs(user: int | None) -> tuple[str, ...]:
    """What must be installed."""
    return ("bwrap", "prlimit") if user is None else ("bwrap", "prlimit", "setpriv")


def enclosed(
    user: int | None, shown: Sequence[Shown], places: Sequence[str], own: Sequence[str], inside: Sequence[str]
) -> tuple[str, ...]:
    """The command line that runs `inside`. `user`: whom a gateway that runs as root becomes for it, None where it runs
    as somebody else. `own` are further words of bubblewrap's, said last; `places` are directories for them to mount on.
    """
    private = ("--proc", "/proc", "--dev", "/dev", *own, "--die-with-parent", "--", *inside)
    if user is None:
        return ("bwrap", *_NAMESPACES, *(word for one in shown for word in _mount(one)), *private)
    # Root mounts what nobody else could reach, and then becomes somebody: the limits on processes do not bind root,
    # and a fault of the kernel would be root's. /proc is the host's here only because one must be there before a
    # namespace's own can be mounted; the second step covers it. The namespace of processes is for a gateway that is
    # killed: the program that waits in the first step has no capability left by which its end could end another user.
    mounts = (word for one in shown for word in (*_made(_parents(one.target)), *_mount(one)))
    mounted_on = (word for path in places for word in _made([*_parents(path), path]))
    own_first = ("--die-with-parent", "--unshare-pid")
    first = ("bwrap", *own_first, *mounts, *mounted_on, "--bind", "/proc", "/proc", "--dev", "/dev")
    who = str(user)
    become = ("setpriv", "--reuid", who, "--regid", who, "--clear-groups", "--no-new-privs", "--pdeathsig", "KILL")
    return (*first, "--", *become, "--", "bwrap", *_NAMESPACES, "--bind", "/", "/", *private)


def _mount(one: Shown) -> tuple[str, ...]:
    if one.source is None:
        return scratch(one.target, "1777" if one.writable else "0700")
    return ("--bind-try" if one.writable else "--ro-bind-try", one.source, one.target)


def _parents(path: str) -> list[str]:
    """From the outermost on."""
    return [str(parent) for parent in PurePosixPath(path).parents][-2::-1]


def _made(directories: Iterable[str]) -> tuple[str, ...]:
    """What is made on the way to a mount is closed to everybody but its maker: so it is made before."""
    return tuple(word for path in directories for word in ("--perms", "0755", "--dir", path))
