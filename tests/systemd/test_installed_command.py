"""The command that `make install` installs, on a fresh machine: every user's call finds the service by itself."""

import json
import re
from pathlib import Path

import pytest

from tests.installed import SANDBOX_PROGRAMS, require_programs
from tests.systemd.machine import run_with_installation

pytestmark = pytest.mark.timeout(900)

DATABASE = "/var/lib/claude-gateway/gateway.db"
AS_THE_SERVICE = "runuser -u claude-gateway -- "
CREDENTIALS = """
install -d -m 700 /etc/credstore
echo a-key-of-the-clients > /etc/credstore/claude-gateway.api_key
echo sk-ant-a-key-of-the-gateway > /etc/credstore/claude-gateway.anthropic_api_key
"""
# Each way to call the command: as root, as root in a shell of the service, as the user of the service.
CALL_PREFIXES = [
    "",
    "env HOME=/var/lib/claude-gateway STATE_DIR=/var/lib/claude-gateway ",
    AS_THE_SERVICE,
    f"{AS_THE_SERVICE}env HOME=/var/lib/claude-gateway ",
    f"{AS_THE_SERVICE}env HOME=/var/lib/claude-gateway STATE_DIR=/var/lib/claude-gateway ",
    f"{AS_THE_SERVICE}env XDG_STATE_HOME=/root/state ",
]
# Files of other users beside the database, and files that the call wrote into the home directory of root.
FIND_MISPLACED_FILES = "find /var/lib/claude-gateway -not -user claude-gateway; find /mnt/upper/root -type f"


@pytest.mark.promise("installed.finds-service")
@pytest.mark.parametrize("prefix", CALL_PREFIXES)
def test_every_command_works_on_the_database_of_the_service_and_says_so(install_dir: Path, prefix: str) -> None:
    command = f"{prefix}claude-gateway"
    done = run_with_installation(
        install_dir,
        f"""
        made=$({command} keys create --name one)
        id=$({command} keys list --json | sed 's/.*"id":"\\([0-9a-f]*\\)".*/\\1/')
        {command} keys update $id --max-concurrent-jobs 2
        {command} usage
        {command} backup /var/lib/claude-gateway/copy.db
        {command} keys revoke $id
        {command} keys list
        {command} restore /var/lib/claude-gateway/copy.db
        {command} keys list
        {FIND_MISPLACED_FILES}
        """,
    )

    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[1] for line in lines if line.endswith("  one")] == ["revoked", "active"]
    assert done.stderr.count(f"claude-gateway: works on the database {DATABASE}\n") == 9
    assert not [line for line in lines if line.startswith("/")]  # no misplaced file


@pytest.mark.promise("installed.finds-service")
def test_relative_path_of_a_backup_is_relative_to_the_working_directory(install_dir: Path) -> None:
    done = run_with_installation(
        install_dir,
        f"""claude-gateway keys create --name one
        cd /var/lib/claude-gateway; {AS_THE_SERVICE}claude-gateway backup copy.db; ls""",
    )

    assert done.returncode == 0, done.stderr
    assert "copy.db" in done.stdout.splitlines()


def test_command_of_another_user_fails_with_an_explanation(install_dir: Path) -> None:
    done = run_with_installation(install_dir, "runuser -u nobody -- claude-gateway keys list")

    assert (done.returncode, done.stdout) == (1, "")
    (line,) = find_messages(done.stderr)
    assert "run it as root, or as the user claude-gateway" in line


def test_command_uses_a_state_directory_from_the_environment(install_dir: Path) -> None:
    with_own_state = "runuser -u nobody -- env STATE_DIR=/tmp/of-nobody-$$ claude-gateway"
    done = run_with_installation(
        install_dir,
        f"trap 'rm -rf /tmp/of-nobody-$$' EXIT; {with_own_state} keys create --name mine; {with_own_state} keys list",
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("  mine\n")
    assert f"works on the database {DATABASE}" not in done.stderr


@pytest.mark.parametrize("change", ["chmod 600", "chown root:root"])
def test_settings_that_the_service_may_not_read_are_reported_in_one_line(install_dir: Path, change: str) -> None:
    """Some editors write a new file with other permissions when they save."""
    done = run_with_installation(
        install_dir, f"chmod 640 $ENV; {change} $ENV; claude-gateway keys list".replace("$ENV", ENV)
    )

    assert done.returncode == 2
    (line,) = find_messages(done.stderr)
    assert f"Cannot read {ENV} as the user claude-gateway" in line


ENV = "/etc/claude-gateway/.env"


@pytest.mark.promise("installed.finds-service")
def test_command_uses_the_settings_of_the_service(install_dir: Path) -> None:
    drop_in = "/etc/systemd/system/claude-gateway.service.d"
    done = run_with_installation(
        install_dir,
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
    assert re.search(rf"{ENV} line \d+: API_KYE is not a setting; API_KEY is", done.stderr)


@pytest.mark.e2e
@pytest.mark.promise("doctor.asks")
def test_doctor_reads_the_systemd_credentials_and_leaves_none_behind(install_dir: Path) -> None:
    require_programs(SANDBOX_PROGRAMS)
    done = run_with_installation(
        install_dir,
        f"""{CREDENTIALS}
        ls /dev/shm > /mnt/before; claude-gateway doctor --json; ls /dev/shm | diff /mnt/before -""",
    )

    assert done.returncode == 0, done.stdout + done.stderr
    findings = {line["subject"]: line for line in json.loads(done.stdout)}
    assert findings["Login (api_key)"]["state"] == "ok"
    assert "127.0.0.1 port 8000" in findings["Port"]["seen"]  # the address of the socket unit, not PORT
    assert DATABASE in findings["Database"]["seen"]


@pytest.mark.e2e
def test_doctor_skips_checks_that_only_root_can_run(install_dir: Path) -> None:
    require_programs(SANDBOX_PROGRAMS)
    done = run_with_installation(install_dir, f"{CREDENTIALS} {AS_THE_SERVICE}claude-gateway doctor --json")

    assert done.returncode == 0, done.stdout + done.stderr
    findings = {line["subject"]: line for line in json.loads(done.stdout)}
    assert findings["Login (cli)"]["state"] == "skipped"
    assert "root" in findings["Login (cli)"]["seen"]


@pytest.mark.e2e
def test_doctor_as_the_service_user_reads_the_credentials_of_the_running_service(install_dir: Path) -> None:
    require_programs(SANDBOX_PROGRAMS)
    credentials_dir = "/run/credentials/claude-gateway.service"
    done = run_with_installation(
        install_dir,
        f"""{CREDENTIALS}
        install -d -m 500 -o claude-gateway {credentials_dir}
        echo sk-ant-a-key > {credentials_dir}/anthropic_api_key
        chmod 400 {credentials_dir}/*; chown claude-gateway {credentials_dir}/*
        {AS_THE_SERVICE}claude-gateway doctor --json""",
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert {line["subject"]: line for line in json.loads(done.stdout)}["Login (api_key)"]["state"] == "ok"


def test_misnamed_credential_is_reported(install_dir: Path) -> None:
    misnamed = "echo x > /etc/credstore/claude-gateway.api_kye"
    done = run_with_installation(install_dir, f"{CREDENTIALS} {misnamed}; claude-gateway doctor --json")

    assert "/etc/credstore/claude-gateway.api_kye is not used" in done.stderr


def find_messages(stderr: str) -> list[str]:
    return [line for line in stderr.splitlines() if line.startswith("claude-gateway: ") or "Traceback" in line]
