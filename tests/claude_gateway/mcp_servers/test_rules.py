"""What a key may register: nothing that the operator has not named."""

import pytest

from claude_gateway.errors import ApiError
from claude_gateway.mcp_servers.rules import Rules, read_commands, shown_url
from claude_gateway.mcp_servers.server import Address, Kind, Program, Server, dump, load

LINE = ("/opt/mcp server", "--port", "3001")


def refused(rules: Rules, reach: Program | Address) -> ApiError:
    with pytest.raises(ApiError) as caught:
        rules.check(Server("s", reach))
    return caught.value


def listing(value: str) -> Rules:
    return Rules(commands=read_commands(value))


@pytest.mark.promise("mcp.commands")
def test_no_program_is_run_that_is_not_listed_and_the_refusal_has_the_very_line_to_add() -> None:
    error = refused(Rules(), Program(LINE))

    assert (error.status, error.code) == (403, "mcp_command_not_allowed")
    line = error.extra["add"]["line"]
    assert f"MCP_ALLOWED_COMMANDS={line}" in error.message
    listing(line).check(Server("s", Program(LINE)))


@pytest.mark.parametrize(
    ("listed", "line", "allowed"),
    [
        ("npx -y server", "npx -y server", True),
        ("npx -y server", "npx -y server --all", False),
        ("npx -y server", "npx -y", False),
        ("npx -y server", "npx -y server2", False),
        ("npx -y server *", "npx -y server", True),
        ("npx -y server *", "npx -y server --all /", True),
        ("npx -y server *", "npx -y server2 --all", False),
        ("npx -y server *", "npx", False),
        ("a b;npx server\nc", "c", True),
        ("a 'b;c'", "a 'b;c'", True),
        ("a # b", "a '#' b", True),
        ("", "a", False),
    ],
)
def test_a_command_line_is_allowed_to_the_letter_or_with_any_further_arguments(
    listed: str, line: str, allowed: bool
) -> None:
    reach = Program(read_commands(line)[0])

    if allowed:
        listing(listed).check(Server("s", reach))
    else:
        assert refused(listing(listed), reach).status == 403


@pytest.mark.parametrize("value", ["*", "a; *", "'open"])
def test_a_list_that_would_allow_everything_or_is_none_is_no_setting(value: str) -> None:
    with pytest.raises(ValueError, match=r"stands behind|quotation"):
        read_commands(value)


@pytest.mark.parametrize("name", ["API_KEY", "GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "DB_PASSWORD", "TEAM_ID"])
def test_what_holds_a_secret_by_its_name_is_given_to_a_program(name: str) -> None:
    listing("server").check(Server("s", Program(("server",), {name: "value"})))


@pytest.mark.parametrize(
    "name",
    [
        *("LD_PRELOAD", "LD_AUDIT", "PYTHONPATH", "PYTHONSTARTUP", "NODE_OPTIONS", "BASH_ENV", "PATH", "HOME", "ENV"),
        *("NPM_CONFIG_REGISTRY", "NPM_TOKEN", "UV_INDEX_URL", "PIP_INDEX_URL", "GIT_SSH_COMMAND", "HTTPS_PROXY"),
        *("JAVA_TOOL_OPTIONS", "PERL5LIB", "RUBYOPT", "DYLD_INSERT_LIBRARIES", "GLIBC_TUNABLES", "SSL_CERT_FILE"),
        *("path", "a b", "", "A=B", "A\0KEY", "BASH_FUNC_ls%%"),
    ],
)
def test_what_decides_which_code_runs_is_never_given_whatever_the_operator_lists(name: str) -> None:
    rules = Rules(commands=(("server",),), variables=("*",))

    assert refused(rules, Program(("server",), {name: "x"})).status == 400


def test_another_variable_is_given_where_the_operator_lists_it() -> None:
    reach = Program(("server",), {"DATABASE_URL": "x", "APP_MODE": "y"})

    error = refused(Rules(commands=(("server",),), variables=("DATABASE_URL",)), reach)
    assert (error.status, "APP_MODE" in error.message) == (403, True)
    Rules(commands=(("server",),), variables=("DATABASE_URL", "APP_*")).check(Server("s", reach))


@pytest.mark.parametrize(
    "url",
    [
        *("http://example.com/mcp", "https://me:secret@example.com/mcp", "https://example.com:8443/mcp", "https://"),
        *("file:///etc/passwd", "https://example.com/#a", "https://example.com/ a", "https://[::1", "ftp://a/b"),
    ],
)
def test_an_address_is_https_without_anything_of_a_user_at_the_usual_port(url: str) -> None:
    assert refused(Rules(), Address(url)).status == 400


def test_private_addresses_are_for_the_operator_to_allow() -> None:
    Rules().check(Server("s", Address("https://example.com/mcp?key=1")))
    Rules(private_addresses=True).check(Server("s", Address("http://127.0.0.1:9000/mcp")))


@pytest.mark.parametrize("headers", [{"Host": "a"}, {"Mcp-Session-Id": "a"}, {"A b": "c"}, {"A": "b\r\nC: d"}])
def test_headers_of_the_connection_are_not_the_callers(headers: dict[str, str]) -> None:
    assert refused(Rules(), Address("https://example.com", headers)).status == 400


def test_a_url_is_shown_without_its_query() -> None:
    assert shown_url("https://a/b?key=secret") == "https://a/b?…"
    assert shown_url("https://a/b") == "https://a/b"


@pytest.mark.parametrize("kind", ["http", "sse"])
def test_a_server_is_kept_whole_and_says_nothing_of_its_secrets(kind: Kind) -> None:
    for reach in (Program(LINE, {"KEY": "s3cret"}), Address("https://a/?s3cret", {"X": "s3cret"}, kind)):
        server = Server("s", reach, "about it", enabled=False)
        assert load("s", dump(server)) == server
        assert "s3cret" not in repr(server)
