"""A machine on which `make install` was just run, in a namespace of its own: nothing of it stays.

    with_installed(DESTINATION, SCRIPT) runs a shell script as root there.

What was installed under DESTINATION lies over /etc and /usr/local, the service's user and directories are made by
systemd's own programs, and whatever the script changes is forgotten at its end. No systemd runs.
"""

import os
import subprocess
from pathlib import Path

from tests.installed import need, say_and_skip

_SETUP = """
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


def with_installed(destination: Path, script: str, *, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """What the script says. It skips the test where no such namespace can be made."""
    need({"unshare": "util-linux", "systemd-sysusers": "systemd", "ip": "iproute2"})
    if os.geteuid():
        say_and_skip("only root can make a machine within this one")
    env = {"PATH": os.environ["PATH"], "DESTINATION": str(destination), "LANG": "C.UTF-8"}
    # A network of its own: no port there is taken, and nobody outside is asked.
    command = ("unshare", "--mount", "--net", "sh", "-c", _SETUP + script)
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env, timeout=timeout)
