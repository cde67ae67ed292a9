"""The command that `make install` leaves, on a fresh machine: it finds the service by itself, whoever calls it."""

import json
import re
from pathlib import Path

import pytest

from tests.installed import SANDBOX, need
from tests.systemd.machine import with_installed

pytestmark = pytest.mark.timeout(900)

DATABASE = "/var/lib/claude-gateway/gateway.db"
AS_THE_SERVICE = "runuser -u claude-gateway -- "
CREDENTIALS = """
install -d -m 700 /etc/credstore
echo a-key-of-the-callers > /etc/credstore/claude-gateway.api_key
echo sk-ant-a-key-of-the-gateway > /etc/credstore/claude-gateway.anthropic_api_key
"""
# Each form in which somebody calls it: as root, as root in a shell of the service, as that user.
CALLERS = [
    "",
    "env HOME=/var/lib/claude-gateway STATE_DIR=/var/lib/claude-gateway ",
    AS_THE_SERVICE,
    f"{AS_THE_SERVICE}env HOME=/var/lib/claude-gateway ",
    f"{AS_THE_SERVICE}env HOME=/var/lib/claude-gateway STATE_DIR=/var/lib/claude-gateway ",
    f"{AS_THE_SERVICE}env XDG_STATE_HOME=/root/state ",
]
# Files of another user beside the database, and files that this machine wrote into the home of root.
WHO_OWNS = "find /var/lib/claude-gateway -not -user claude-gateway; find /mnt/upper/root -type f"


@pytest.mark.promise("installed.finds-service")
@pytest.mark.parametrize("caller", CALLERS)
def test_every_command_works_on_the_database_of_the_service_and_says_so(installed: Path, caller: str) -> None:
    command = f"{caller}claude-gateway"
    done = with_installed(
        installed,
        f"""
        made=$({command} keys create --name one)
        id=$({command} keys list --json | sed 's/.*"id":"\\([0-9a-f]*\\)".*/\\1/')
        {command} keys limit $id --concurrent 2
        {command} usage
        {command} backup /var/lib/claude-gateway/copy.db
        {command} keys revoke $id
        {command} keys list
        {command} restore /var/lib/claude-gateway/copy.db
        {command} keys list
        {WHO_OWNS}
        """,
    )

    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[1] for line in lines if line.endswith("  one")] == ["revoked", "active"]
    assert done.stderr.count(f"claude-gateway: works on the database {DATABASE}\n") == 9
    assert not [line for line in lines if line.startswith("/")]  # nothing of it is another user's, or elsewhere


@pytest.mark.promise("installed.finds-service")
def test_a_relative_name_of_a_copy_is_meant_where_it_was_called(installed: Path) -> None:
    done = with_installed(
        installed,
        f"""claude-gateway keys create --name one
        cd /var/lib/claude-gateway; {AS_THE_SERVICE}claude-gateway backup copy.db; ls""",
    )

    assert done.returncode == 0, done.stderr
    assert "copy.db" in done.stdout.splitlines()


def test_whoever_is_neither_root_nor_the_service_is_told_so(installed: Path) -> None:
    done = with_installed(installed, "runuser -u nobody -- claude-gateway keys list")

    assert (done.returncode, done.stdout) == (1, "")
    (line,) = complaints(done.stderr)
    assert "run it as root, or as the user claude-gateway" in line


def test_a_state_directory_of_ones_own_is_taken(installed: Path) -> None:
    own = "runuser -u nobody -- env STATE_DIR=/tmp/of-nobody-$$ claude-gateway"
    done = with_installed(
        installed, f"trap 'rm -rf /tmp/of-nobody-$$' EXIT; {own} keys create --name mine; {own} keys list"
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("  mine\n")
    assert f"works on the database {DATABASE}" not in done.stderr


@pytest.mark.parametrize("change", ["chmod 600", "chown root:root"])
def test_settings_that_the_service_may_not_read_are_one_line(installed: Path, change: str) -> None:
    """As an editor leaves them that writes a file anew."""
    done = with_installed(installed, f"chmod 640 $ENV; {change} $ENV; claude-gateway keys list".replace("$ENV", ENV))

    assert done.returncode == 2
    (line,) = complaints(done.stderr)
    assert f"Cannot read {ENV} as the user claude-gateway" in line


ENV = "/etc/claude-gateway/.env"


@pytest.mark.promise("installed.finds-service")
def test_what_is_set_for_the_service_counts(installed: Path) -> None:
    drop_in = "/etc/systemd/system/claude-gateway.service.d"
    done = with_installed(
        installed,
        f"""
        install -d -o claude-gateway /srv/elsewhere-$$ {drop_in}
        trap 'rm -rf /srv/elsewhere-$$' EXIT
        printf '[Service]\\nEnvironment="STATE_DIR=/srv/elsewhere-%s"\\n' $$ > {drop_in}/override.conf
        claude-gateway keys create --name one
        echo API_KYE=x >> {ENV}
        claude-gateway keys list
        """,
    )

    assert done.returncode == 2
    assert re.search(r"works on the database /srv/elsewhere-\d+/gateway.db", done.stderr)
    assert re.search(rf"{ENV} line \d+: API_KYE is no setting; API_KEY is", done.stderr)


@pytest.mark.e2e
@pytest.mark.promise("doctor.asks")
def test_the_doctor_sees_the_credentials_of_systemd_and_leaves_none_behind(installed: Path) -> None:
    need(SANDBOX)
    done = with_installed(
        installed,
        f"""{CREDENTIALS}
        ls /dev/shm > /mnt/before; claude-gateway doctor --json; ls /dev/shm | diff /mnt/before -""",
    )

    assert done.returncode == 0, done.stdout + done.stderr
    found = {line["subject"]: line for line in json.loads(done.stdout)}
    assert found["Login (api_key)"]["state"] == "ok"
    assert "127.0.0.1 port 8000" in found["Port"]["seen"]  # of the socket, not of PORT
    assert DATABASE in found["Database"]["seen"]


@pytest.mark.e2e
def test_the_doctor_calls_nothing_broken_that_only_root_can_see(installed: Path) -> None:
    need(SANDBOX)
    done = with_installed(installed, f"{CREDENTIALS} {AS_THE_SERVICE}claude-gateway doctor --json")

    assert done.returncode == 0, done.stdout + done.stderr
    found = {line["subject"]: line for line in json.loads(done.stdout)}
    assert found["Login (cli)"]["state"] == "skipped"
    assert "root" in found["Login (cli)"]["seen"]


@pytest.mark.e2e
def test_the_doctor_sees_as_the_service_s_user_what_systemd_gave_the_running_service(installed: Path) -> None:
    need(SANDBOX)
    given = "/run/credentials/claude-gateway.service"
    done = with_installed(
        installed,
        f"""{CREDENTIALS}
        install -d -m 500 -o claude-gateway {given}
        echo sk-ant-a-key > {given}/anthropic_api_key; chmod 400 {given}/*; chown claude-gateway {given}/*
        {AS_THE_SERVICE}claude-gateway doctor --json""",
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert {line["subject"]: line for line in json.loads(done.stdout)}["Login (api_key)"]["state"] == "ok"


def test_a_credential_of_another_name_is_pointed_at(installed: Path) -> None:
    misnamed = "echo x > /etc/credstore/claude-gateway.api_kye"
    done = with_installed(installed, f"{CREDENTIALS} {misnamed}; claude-gateway doctor --json")

    assert "/etc/credstore/claude-gateway.api_kye reaches nobody" in done.stderr


def complaints(stderr: str) -> list[str]:
    return [line for line in stderr.splitlines() if line.startswith("claude-gateway: ") or "Traceback" in line]
