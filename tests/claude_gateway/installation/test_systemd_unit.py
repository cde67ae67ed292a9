"""Tests of the parser for unit files, with the parts of systemd's syntax that the units use."""

from pathlib import Path

from claude_gateway.installation.systemd_unit import ServiceUnit, parse_env_file, parse_service_unit

SYSTEMD = Path(__file__).parents[3] / "systemd"
NAME = "claude-gateway.service"


def parse(*service: str, socket: str = "") -> ServiceUnit:
    return parse_service_unit(NAME, [f"[Service]\n{text}" for text in service], [f"[Socket]\n{socket}"])


def test_parses_shipped_units() -> None:
    service = (SYSTEMD / "claude-gateway.service").read_text().replace("@SYSCONFDIR@", "/etc")
    unit = parse_service_unit(NAME, [service], [(SYSTEMD / "claude-gateway.socket").read_text()])

    assert (unit.user, unit.working_directory) == ("claude-gateway", Path("/etc/claude-gateway"))
    assert unit.environment == {"STATE_DIR": "/var/lib/claude-gateway"}
    assert unit.credentials["anthropic_api_key"] == "claude-gateway.anthropic_api_key"
    assert unit.listen_address == ("127.0.0.1", 8000)


def test_drop_in_extends_lists_replaces_values_and_clears_with_an_empty_one() -> None:
    unit = parse(
        "User=one\nEnvironment=A=1 'B=2 3'\nLoadCredential=a:x\nLoadCredential=b:y",
        "User=two\nEnvironment=A=4\nLoadCredential=\nLoadCredential=vertex.json:/etc/v.json",
    )

    assert unit.user == "two"
    assert unit.environment == {"A": "4", "B": "2 3"}
    assert unit.credentials == {"vertex.json": "/etc/v.json"}


def test_parses_specifiers_continued_lines_and_comments_like_systemd() -> None:
    unit = parse("# User=x\nEnvironment=GOOGLE=%d/vertex.json \\\n  RATE=50%% \\\n; no\n  HOME_OF=%S/%u\nUser=me")

    assert unit.environment == {
        "GOOGLE": "/run/credentials/claude-gateway.service/vertex.json",
        "RATE": "50%",
        "HOME_OF": "/var/lib/me",
    }


def test_ignores_other_sections() -> None:
    assert parse("User=me\n[Install]\nUser=you").user == "me"


def test_default_user_is_root() -> None:
    assert parse("").user == "root"


def test_parses_every_form_of_listen_address() -> None:
    addresses = {
        "8000": ("::", 8000),
        "127.0.0.1:81": ("127.0.0.1", 81),
        "[::1]:82": ("::1", 82),
        "/run/gateway.sock": None,
        "": None,
    }
    for listen_stream, address in addresses.items():
        assert parse("", socket=f"ListenStream={listen_stream}").listen_address == address
    assert parse("", socket="ListenStream=1\nListenStream=\nListenStream=2").listen_address == ("::", 2)


def test_parses_environment_file() -> None:
    assert parse_env_file('# c\nA=1\n; d\n B = "2 3"\nnothing\n') == {"A": "1", "B": "2 3"}
