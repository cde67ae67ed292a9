"""Policy for the servers that a key may register."""

import pytest

from claude_gateway.core.errors import ApiError
from claude_gateway.mcp_servers.models import (
    HttpConfig,
    HttpTransportKind,
    McpServer,
    StdioConfig,
    server_from_json,
    server_to_json,
)
from claude_gateway.mcp_servers.policy import RegistrationPolicy, parse_allowed_commands, strip_url_query

COMMAND = ("/opt/mcp server", "--port", "3001")


def get_rejection(policy: RegistrationPolicy, server_config: StdioConfig | HttpConfig) -> ApiError:
    with pytest.raises(ApiError) as caught:
        policy.check(McpServer("s", server_config))
    return caught.value


def parse_commands(value: str) -> RegistrationPolicy:
    return RegistrationPolicy(allowed_commands=parse_allowed_commands(value))


@pytest.mark.promise("mcp.commands")
def test_rejects_unlisted_command_and_names_the_setting_to_add() -> None:
    error = get_rejection(RegistrationPolicy(), StdioConfig(COMMAND))

    assert (error.status, error.code) == (403, "mcp_command_not_allowed")
    line = error.extra["add"]["line"]
    assert f"MCP_ALLOWED_COMMANDS={line}" in error.message
    parse_commands(line).check(McpServer("s", StdioConfig(COMMAND)))


@pytest.mark.parametrize(
    ("allowed_line", "line", "allowed"),
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
def test_allows_exact_command_line_or_one_with_further_arguments(allowed_line: str, line: str, allowed: bool) -> None:
    server_config = StdioConfig(parse_allowed_commands(line)[0])

    if allowed:
        parse_commands(allowed_line).check(McpServer("s", server_config))
    else:
        assert get_rejection(parse_commands(allowed_line), server_config).status == 403


@pytest.mark.parametrize("value", ["*", "a; *", "'open"])
def test_rejects_setting_that_allows_everything_or_is_invalid(value: str) -> None:
    with pytest.raises(ValueError, match=r"must follow|quotation"):
        parse_allowed_commands(value)


@pytest.mark.parametrize("name", ["API_KEY", "GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "DB_PASSWORD", "TEAM_ID"])
def test_allows_variable_whose_name_has_the_form_of_a_secret(name: str) -> None:
    parse_commands("server").check(McpServer("s", StdioConfig(("server",), {name: "value"})))


@pytest.mark.parametrize(
    "name",
    [
        *("LD_PRELOAD", "LD_AUDIT", "PYTHONPATH", "PYTHONSTARTUP", "NODE_OPTIONS", "BASH_ENV", "PATH", "HOME", "ENV"),
        *("NPM_CONFIG_REGISTRY", "NPM_TOKEN", "UV_INDEX_URL", "PIP_INDEX_URL", "GIT_SSH_COMMAND", "HTTPS_PROXY"),
        *("JAVA_TOOL_OPTIONS", "PERL5LIB", "RUBYOPT", "DYLD_INSERT_LIBRARIES", "GLIBC_TUNABLES", "SSL_CERT_FILE"),
        *("path", "a b", "", "A=B", "A\0KEY", "BASH_FUNC_ls%%"),
    ],
)
def test_never_allows_variable_that_controls_which_code_runs(name: str) -> None:
    policy = RegistrationPolicy(allowed_commands=(("server",),), allowed_variables=("*",))

    assert get_rejection(policy, StdioConfig(("server",), {name: "x"})).status == 400


def test_allows_other_variable_that_the_operator_lists() -> None:
    server_config = StdioConfig(("server",), {"DATABASE_URL": "x", "APP_MODE": "y"})

    error = get_rejection(
        RegistrationPolicy(allowed_commands=(("server",),), allowed_variables=("DATABASE_URL",)), server_config
    )
    assert (error.status, "APP_MODE" in error.message) == (403, True)
    RegistrationPolicy(allowed_commands=(("server",),), allowed_variables=("DATABASE_URL", "APP_*")).check(
        McpServer("s", server_config)
    )


@pytest.mark.parametrize(
    "url",
    [
        *("http://example.com/mcp", "https://me:secret@example.com/mcp", "https://example.com:8443/mcp", "https://"),
        *("file:///etc/passwd", "https://example.com/#a", "https://example.com/ a", "https://[::1", "ftp://a/b"),
    ],
)
def test_requires_https_url_without_credentials_and_with_port_443(url: str) -> None:
    assert get_rejection(RegistrationPolicy(), HttpConfig(url)).status == 400


def test_allows_private_address_if_the_operator_does() -> None:
    RegistrationPolicy().check(McpServer("s", HttpConfig("https://example.com/mcp?key=1")))
    RegistrationPolicy(allow_private_addresses=True).check(McpServer("s", HttpConfig("http://127.0.0.1:9000/mcp")))


@pytest.mark.parametrize("headers", [{"Host": "a"}, {"Mcp-Session-Id": "a"}, {"A b": "c"}, {"A": "b\r\nC: d"}])
def test_rejects_reserved_and_invalid_headers(headers: dict[str, str]) -> None:
    assert get_rejection(RegistrationPolicy(), HttpConfig("https://example.com", headers)).status == 400


def test_hides_the_query_of_a_url() -> None:
    assert strip_url_query("https://a/b?key=secret") == "https://a/b?…"
    assert strip_url_query("https://a/b") == "https://a/b"


@pytest.mark.parametrize("kind", ["http", "sse"])
def test_stored_server_is_complete_and_its_repr_hides_secrets(kind: HttpTransportKind) -> None:
    for server_config in (
        StdioConfig(COMMAND, {"KEY": "s3cret"}),
        HttpConfig("https://a/?s3cret", {"X": "s3cret"}, kind),
    ):
        server = McpServer("s", server_config, "about it", enabled=False)
        assert server_from_json("s", server_to_json(server)) == server
        assert "s3cret" not in repr(server)
