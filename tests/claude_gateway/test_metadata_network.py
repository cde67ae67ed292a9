"""Metadata of clouds, tried in a network in which it is there: by all ways of writing it, by names and redirects."""

import json
import os
import subprocess
import sys

import pytest

from tests.claude_gateway.metadata_network import ALLOWED
from tests.installed import need, say_and_skip


@pytest.mark.promise("addresses.metadata-network")
def test_no_url_of_a_caller_reaches_metadata_where_private_addresses_are_allowed() -> None:
    need({"unshare": "util-linux", "ip": "iproute2"})
    network = ("unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$0" "$@"')
    if os.geteuid() or subprocess.run([*network, "true"], check=False, capture_output=True).returncode:
        say_and_skip("a network namespace takes root")

    done = subprocess.run(
        [*network, sys.executable, "-m", "tests.claude_gateway.metadata_network"],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )

    assert done.returncode == 0, done.stderr
    reached = json.loads(done.stdout)
    assert reached["metadata"] == []
    # What is allowed was reached, so that nothing above was refused for another reason; and not by a name that has a
    # forbidden address too.
    assert f"http://{ALLOWED}/to-metadata" in reached["allowed"]
    assert "http://moves.test/" in reached["allowed"]
    assert "http://both.test/" not in reached["allowed"]
