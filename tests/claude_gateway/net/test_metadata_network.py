"""Protection of cloud metadata in a network that has it: every notation of its addresses, names and redirects."""

import json
import os
import subprocess
import sys

import pytest

from tests.claude_gateway.net.metadata_network import ALLOWED_ADDRESS
from tests.installed import require_programs, skip_or_fail


@pytest.mark.promise("addresses.metadata-network")
def test_no_client_url_reaches_metadata_even_if_private_addresses_are_allowed() -> None:
    require_programs({"unshare": "util-linux", "ip": "iproute2"})
    network = ("unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$0" "$@"')
    if os.geteuid() or subprocess.run([*network, "true"], check=False, capture_output=True).returncode:
        skip_or_fail("creating a network namespace requires root")

    process = subprocess.run(
        [*network, sys.executable, "-m", "tests.claude_gateway.net.metadata_network"],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )

    assert process.returncode == 0, process.stderr
    reached = json.loads(process.stdout)
    assert reached["metadata"] == []
    # Requests to the allowed server succeed, so the others were not rejected for another reason. A name that also has a
    # forbidden address is rejected.
    assert f"http://{ALLOWED_ADDRESS}/to-metadata" in reached["allowed"]
    assert "http://moves.test/" in reached["allowed"]
    assert "http://both.test/" not in reached["allowed"]
