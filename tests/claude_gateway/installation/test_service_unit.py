"""What unit files say, in the parts of systemd's language that are used."""

from pathlib import Path

from claude_gateway.installation.unit import Service, read_assignments, read_service

SYSTEMD = Path(__file__).parents[3] / "systemd"
NAME = "claude-gateway.service"


def of(*service: str, socket: str = "") -> Service:
    return read_service(NAME, [f"[Service]\n{text}" for text in service], [f"[Socket]\n{socket}"])


def test_the_shipped_units_are_read() -> None:
    service = (SYSTEMD / "claude-gateway.service").read_text().replace("@SYSCONFDIR@", "/etc")
    found = read_service(NAME, [service], [(SYSTEMD / "claude-gateway.socket").read_text()])

    assert (found.user, found.working_directory) == ("claude-gateway", Path("/etc/claude-gateway"))
    assert found.environment == {"STATE_DIR": "/var/lib/claude-gateway"}
    assert found.credentials["anthropic_api_key"] == "claude-gateway.anthropic_api_key"
    assert found.address == ("127.0.0.1", 8000)


def test_a_drop_in_adds_to_lists_takes_the_place_of_values_and_clears_by_an_empty_one() -> None:
    found = of(
        "User=one\nEnvironment=A=1 'B=2 3'\nLoadCredential=a:x\nLoadCredential=b:y",
        "User=two\nEnvironment=A=4\nLoadCredential=\nLoadCredential=vertex.json:/etc/v.json",
    )

    assert found.user == "two"
    assert found.environment == {"A": "4", "B": "2 3"}
    assert found.credentials == {"vertex.json": "/etc/v.json"}


def test_specifiers_continued_lines_and_comments_are_as_systemd_has_them() -> None:
    found = of("# User=x\nEnvironment=GOOGLE=%d/vertex.json \\\n  RATE=50%% \\\n; no\n  HOME_OF=%S/%u\nUser=me")

    assert found.environment == {
        "GOOGLE": "/run/credentials/claude-gateway.service/vertex.json",
        "RATE": "50%",
        "HOME_OF": "/var/lib/me",
    }


def test_what_stands_in_another_section_is_another_s() -> None:
    assert of("User=me\n[Install]\nUser=you").user == "me"


def test_without_a_user_it_is_root() -> None:
    assert of("").user == "root"


def test_addresses_are_read_in_each_form_and_what_is_no_address_of_tcp_is_none() -> None:
    listens = {
        "8000": ("::", 8000),
        "127.0.0.1:81": ("127.0.0.1", 81),
        "[::1]:82": ("::1", 82),
        "/run/gateway.sock": None,
        "": None,
    }
    for written, address in listens.items():
        assert of("", socket=f"ListenStream={written}").address == address
    assert of("", socket="ListenStream=1\nListenStream=\nListenStream=2").address == ("::", 2)


def test_a_file_of_variables_is_read() -> None:
    assert read_assignments('# c\nA=1\n; d\n B = "2 3"\nnothing\n') == {"A": "1", "B": "2 3"}
