"""Builds command lines that run a process in a bubblewrap sandbox. No I/O.

The process sees only the programs of the system and the files that the gateway mounts. It cannot change the programs of
the system. It has its own namespaces for users, processes and System V IPC. It ends when the gateway ends. The sandbox
does not restrict the network.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

# The user id and the group id that the process has inside of the sandbox. They do not depend on its ids outside of the
# sandbox.
_SANDBOX_UID = "1000"
_NAMESPACE_ARGS = ("--unshare-user", "--uid", _SANDBOX_UID, "--gid", _SANDBOX_UID, "--unshare-pid", "--unshare-ipc")
# Maximum number of processes and threads together. The CLI alone has about twenty threads.
_MAX_PROCESSES = 400
# The soft limit and the hard limit on the size of the stack.
_STACK_LIMITS_BYTES = (8 * 1024 * 1024, 64 * 1024 * 1024)
_MAX_TMPFS_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Mount:
    """A file or directory that a process in the sandbox sees.

    Attributes:
        source: The path outside of the sandbox, or None if the target is an empty directory in memory. bubblewrap
            ignores a path that does not exist.
        target: The path inside of the sandbox.
        writable: Whether the process may write to the target. If a directory in memory is not writable, the process
            cannot even open it.
    """

    source: str | None
    target: str
    writable: bool = False


SYSTEM_MOUNTS = tuple(
    Mount(path, path)
    for path in (
        *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64"),
        *("/etc/ssl", "/etc/pki", "/etc/ca-certificates", "/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf"),
        *("/etc/alternatives", "/etc/ld.so.cache", "/etc/localtime", "/etc/mime.types", "/etc/magic", "/etc/fonts"),
    )
)


def build_tmpfs_args(path: str, mode: str = "0700") -> tuple[str, ...]:
    """Return the bubblewrap arguments that mount an empty directory in memory at a path.

    The kernel removes the directory when the sandbox ends.
    """
    return ("--perms", mode, "--size", str(_MAX_TMPFS_BYTES), "--tmpfs", path)


def build_process_limits(max_data_bytes: int) -> tuple[str, ...]:
    """Return the `prlimit` arguments that limit the private memory of a process.

    They do not limit the address space, because Node and Java reserve many gigabytes of address space. No process in
    the sandbox can raise these limits.
    """
    soft_stack, hard_stack = _STACK_LIMITS_BYTES
    return (f"--data={max_data_bytes}:{max_data_bytes}", f"--stack={soft_stack}:{hard_stack}")


def build_sandbox_limits(max_file_bytes: int) -> tuple[str, ...]:
    """Return the `prlimit` arguments with the limits that apply to all processes in the sandbox."""
    return (f"--nproc={_MAX_PROCESSES}", f"--fsize={max_file_bytes}", "--core=0")


def list_bubblewrap_programs(uid: int | None) -> tuple[str, ...]:
    """Return the names of the programs that must be installed for a sandbox with this uid."""
    return ("bwrap", "prlimit") if uid is None else ("bwrap", "prlimit", "setpriv")


def build_bwrap_command(
    uid: int | None,
    sandbox_mounts: Sequence[Mount],
    mount_points: Sequence[str],
    extra_args: Sequence[str],
    command: Sequence[str],
) -> tuple[str, ...]:
    """Return the command line that runs a command in a sandbox.

    Args:
        uid: The uid to which a gateway that runs as root switches, or None if the gateway does not run as root.
        sandbox_mounts: The files and directories that the process in the sandbox sees.
        mount_points: The directories on which `extra_args` mount something.
        extra_args: Further bubblewrap arguments, which bubblewrap applies last.
        command: The command and its arguments.
    """
    private = ("--proc", "/proc", "--dev", "/dev", *extra_args, "--die-with-parent", "--", *command)
    if uid is None:
        return (
            "bwrap",
            *_NAMESPACE_ARGS,
            *(arg for mount in sandbox_mounts for arg in _build_mount_args(mount)),
            *private,
        )
    # If the gateway runs as root, two bwrap processes build the sandbox. Step 1 runs as root and mounts directories
    # that no other user can reach. Then setpriv switches to the other user, because the limit on processes does not
    # apply to root, and because an attacker who uses a kernel bug would otherwise have root rights. Step 2 runs as the
    # other user.
    # Step 1 mounts the /proc of the host, because the kernel allows a new /proc in step 2 only if there already is a
    # /proc. The new /proc covers the old one. If the gateway is killed, the process namespace of step 1 ends the
    # sandbox. The namespace is necessary, because the bwrap process of step 1 has no right to end a process of another
    # user.
    mount_args = (
        arg
        for mount in sandbox_mounts
        for arg in (*_build_mkdir_args(_list_parents(mount.target)), *_build_mount_args(mount))
    )
    mkdir_args = (arg for path in mount_points for arg in _build_mkdir_args([*_list_parents(path), path]))
    namespace_args = ("--die-with-parent", "--unshare-pid")
    first = ("bwrap", *namespace_args, *mount_args, *mkdir_args, "--bind", "/proc", "/proc", "--dev", "/dev")
    ids = ("--reuid", str(uid), "--regid", str(uid), "--clear-groups")
    drop_root = ("setpriv", *ids, "--no-new-privs", "--pdeathsig", "KILL")
    return (*first, "--", *drop_root, "--", "bwrap", *_NAMESPACE_ARGS, "--bind", "/", "/", *private)


def _build_mount_args(mount: Mount) -> tuple[str, ...]:
    if mount.source is None:
        return build_tmpfs_args(mount.target, "1777" if mount.writable else "0700")
    return ("--bind-try" if mount.writable else "--ro-bind-try", mount.source, mount.target)


def _list_parents(path: str) -> list[str]:
    """Return the directories above a path, the outermost first, without the root."""
    return [str(parent) for parent in PurePosixPath(path).parents][-2::-1]


def _build_mkdir_args(directories: Iterable[str]) -> tuple[str, ...]:
    """Return bubblewrap arguments that create directories to which all users have access.

    If a mount created the directories, only the user of that bwrap process would have access.
    """
    return tuple(arg for path in directories for arg in ("--perms", "0755", "--dir", path))
