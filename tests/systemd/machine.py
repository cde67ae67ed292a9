"""Run scripts on a machine on which `make install` has just run, in namespaces of their own: nothing of it stays.

    run_with_installation(DESTINATION, SCRIPT) runs a shell script as root there.

The files under DESTINATION cover /etc and /usr/local, systemd's own programs create the user and the directories of the
service, and every change by the script is discarded at its end. systemd itself does not run.
"""

import os
import subprocess
from pathlib import Path

from tests.installed import require_programs, skip_or_fail

_SETUP_SCRIPT = """
set -e
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs /mnt
for directory in /etc /usr/local /var /root /run; do
    mkdir -p "/mnt/upper$directory" "/mnt/work$directory"
    below=$directory
    if test -d "$DESTINATION$directory"; then below=$DESTINATION$directory:$directory; fi
    mount -t overlay overlay -o "lowerdir=$below,upperdir=/mnt/upper$directory,workdir=/mnt/work$directory" "$directory"
done
rm -rf /run/systemd /var/lib/claude-gateway /etc/credstore
mkdir -p /mnt/bin
ip link set lo up
systemd-sysusers /etc/sysusers.d/claude-gateway.conf
systemd-tmpfiles --create /etc/tmpfiles.d/claude-gateway.conf
cd /root
export HOME=/root PATH=/mnt/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
"""


def run_with_installation(
    destination: Path, script: str, *, timeout_seconds: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run the script, and return its output; skip the test if no such namespaces can be created."""
    require_programs({"unshare": "util-linux", "systemd-sysusers": "systemd", "ip": "iproute2"})
    if os.geteuid():
        skip_or_fail("only root can create the namespaces of such a machine")
    env = {"PATH": os.environ["PATH"], "DESTINATION": str(destination), "LANG": "C.UTF-8"}
    # The network of its own has no used ports and reaches no other host.
    command = ("unshare", "--mount", "--net", "sh", "-c", _SETUP_SCRIPT + script)
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env, timeout=timeout_seconds)
