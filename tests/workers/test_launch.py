from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.engine import LOGIN_IN_A_FILE, box_here
from workers.launch import command_line, environment
from workers.settings import AgentSettings, AuthMethod, LaunchSettings

# The allow-lists once more, by hand: a name added to the source must be added here on purpose.
FROM_THE_HOST = {
    *("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "ANTHROPIC_BASE_URL", "NODE_EXTRA_CA_CERTS"),
    *("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "no_proxy"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR"),
}
OUR_OWN = {
    "TMPDIR": "/state/w-1",
    "CLAUDE_CODE_MAX_RETRIES": "2",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_AUTOUPDATER": "1",
    "CLAUDE_AGENT_SDK_MCP_NO_PREFIX": "1",
    "CLAUDE_CODE_DISABLE_LEGACY_MODEL_REMAP": "1",
    "DISABLE_COMPACT": "1",
    "DISABLE_AUTO_COMPACT": "1",
    "CLAUDE_CODE_BLOCKING_LIMIT_OVERRIDE": "1000000000",
    "CLAUDE_CODE_DISABLE_MODEL_ACCESS_FALLBACK": "1",
    "CLAUDE_CODE_DISABLE_REFUSAL_FALLBACK": "1",
    "CLAUDE_CODE_DISABLE_REFUSAL_RETRY": "1",
    "CLAUDE_CODE_DEBUG_LOG_LEVEL": "error",
}
A_HOME_OF_ITS_OWN = {"HOME": "/state/w-1", "CLAUDE_CONFIG_DIR": "/state/w-1/.claude"}
SET_BY_METHOD: dict[AuthMethod, dict[str, str]] = {
    AuthMethod.CLI: {},
    AuthMethod.API_KEY: A_HOME_OF_ITS_OWN,
    AuthMethod.BEDROCK: {**A_HOME_OF_ITS_OWN, "CLAUDE_CODE_USE_BEDROCK": "1"},
    AuthMethod.VERTEX: {**A_HOME_OF_ITS_OWN, "CLAUDE_CODE_USE_VERTEX": "1"},
}
FILES_OF_THE_OWNER: dict[AuthMethod, dict[str, str]] = {
    AuthMethod.API_KEY: {},
    AuthMethod.BEDROCK: {
        "AWS_CONFIG_FILE": "from the host/.aws/config",
        "AWS_SHARED_CREDENTIALS_FILE": "from the host/.aws/credentials",
    },
    AuthMethod.VERTEX: {"CLOUDSDK_CONFIG": "from the host/.config/gcloud"},
}
CREDENTIALS: dict[AuthMethod, set[str]] = {
    AuthMethod.CLI: {"CLAUDE_CONFIG_DIR", "CLAUDE_CODE_OAUTH_TOKEN"},
    AuthMethod.API_KEY: {"ANTHROPIC_API_KEY"},
    AuthMethod.BEDROCK: {
        *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_PROFILE"),
        *("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_BEARER_TOKEN_BEDROCK", "ANTHROPIC_BEDROCK_BASE_URL"),
    },
    AuthMethod.VERTEX: {
        *("ANTHROPIC_VERTEX_PROJECT_ID", "CLOUD_ML_REGION", "GOOGLE_APPLICATION_CREDENTIALS"),
        "ANTHROPIC_VERTEX_BASE_URL",
    },
}
# What could change a worker's behaviour, reveal a secret or load code into it.
HOSTILE = [
    *("NODE_OPTIONS", "LD_PRELOAD", "LD_LIBRARY_PATH", "BASH_ENV", "PYTHONPATH", "SHELL", "USER", "PWD", "IS_SANDBOX"),
    *("CLAUDE_CODE_EXTRA_BODY", "CLAUDE_CODE_MAX_OUTPUT_TOKENS", "ANTHROPIC_CUSTOM_HEADERS", "ANTHROPIC_MODEL"),
    *("ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX", "MAX_THINKING_TOKENS", "DEBUG"),
    *("API_KEY", "DATABASE_URL", "GITHUB_TOKEN", "TMPDIR", "HOME", "XDG_CONFIG_HOME", "DISABLE_COMPACT"),
    *sorted(set().union(*CREDENTIALS.values()) | FROM_THE_HOST),
]
names = st.sampled_from(HOSTILE) | st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True)
hosts = st.dictionaries(names, st.just("from the host"))
credentials = st.dictionaries(names, st.just("a secret"))


def settings(method: AuthMethod, given: dict[str, str] | None = None) -> LaunchSettings:
    return LaunchSettings(Path("/bin/claude"), method, "claude-test", given or {}, upstream_retries=2)


def launched(method: AuthMethod, host: dict[str, str], given: dict[str, str] | None = None) -> dict[str, str]:
    return environment(settings(method, given), Path("/state/w-1"), host)


@pytest.mark.parametrize("method", AuthMethod)
@given(host=hosts, secrets=credentials)
def test_nothing_but_the_allowed_names_reaches_a_worker(
    method: AuthMethod, host: dict[str, str], secrets: dict[str, str]
) -> None:
    """The whole environment, name by name and value by value."""
    expected = {name: value for name, value in host.items() if name in FROM_THE_HOST}
    if method is AuthMethod.CLI and "HOME" in host:
        expected["HOME"] = host["HOME"]
    elif "HOME" in host:
        expected |= FILES_OF_THE_OWNER[method]
    expected |= OUR_OWN | SET_BY_METHOD[method]
    expected |= {name: value for name, value in secrets.items() if name in CREDENTIALS[method] | NETWORK}
    assert launched(method, host, secrets) == expected


NETWORK = FROM_THE_HOST - {"PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ"}


def test_no_proxy_stands_between_a_worker_and_an_upstream_on_this_machine() -> None:
    host = {"HTTP_PROXY": "http://proxy", "https_proxy": "http://proxy", "PATH": "/bin"}
    for url, passed in (("http://127.0.0.1:9", False), ("http://localhost:9", False), ("https://api.example", True)):
        env = launched(AuthMethod.API_KEY, host, {"ANTHROPIC_BASE_URL": url})
        assert ("HTTP_PROXY" in env, "https_proxy" in env) == (passed, passed)


@pytest.mark.parametrize("method", AuthMethod)
def test_the_hosts_own_credentials_do_not_pass_unless_they_are_settings(method: AuthMethod) -> None:
    host = dict.fromkeys(HOSTILE, "from the host")
    allowed = FROM_THE_HOST | ({"HOME"} if method is AuthMethod.CLI else set())
    assert {name for name, value in launched(method, host).items() if value == "from the host"} == allowed


@pytest.mark.parametrize("method", AuthMethod)
def test_the_real_home_is_seen_only_with_a_cli_login(method: AuthMethod) -> None:
    home = launched(method, {"HOME": "/home/me"})["HOME"]
    assert home == ("/home/me" if method is AuthMethod.CLI else "/state/w-1")


@pytest.mark.parametrize("method", AuthMethod)
def test_bare_is_used_unless_the_login_is_the_clis_own(method: AuthMethod) -> None:
    assert ("--bare" in command_line(settings(method))) == (method is not AuthMethod.CLI)


@pytest.mark.parametrize("method", AuthMethod)
def test_the_command_line_holds_the_settings_alone_and_no_secret(method: AuthMethod) -> None:
    secrets = dict.fromkeys(CREDENTIALS[method], "a secret")
    argv = command_line(settings(method, secrets))
    assert argv == command_line(settings(method))
    assert not any("secret" in word for word in argv)


def test_a_worker_has_no_tool_no_settings_file_and_no_session_on_disk() -> None:
    argv = command_line(settings(AuthMethod.API_KEY))
    assert argv[0] == "/bin/claude"
    assert argv[argv.index("--tools") + 1] == ""
    assert argv[argv.index("--model") + 1] == "claude-test"
    assert {"--setting-sources=", "--strict-mcp-config", "--no-session-persistence"} <= set(argv)


def test_the_number_of_upstream_retries_reaches_the_worker() -> None:
    few = LaunchSettings(Path("/bin/claude"), AuthMethod.API_KEY, "m", upstream_retries=0)
    assert environment(few, Path("/state"), {})["CLAUDE_CODE_MAX_RETRIES"] == "0"


def test_the_settings_do_not_show_their_credentials() -> None:
    assert "a secret" not in repr(settings(AuthMethod.API_KEY, {"ANTHROPIC_API_KEY": "a secret"}))


def test_a_conversation_to_take_up_goes_by_a_file_and_its_model_by_the_environment() -> None:
    settings = LaunchSettings(Path("/bin/claude"), AuthMethod.API_KEY, "claude-a")
    argv = command_line(settings, Path("/state/w-1/conversation.jsonl"))
    assert argv[argv.index("--resume") + 1] == "/state/w-1/conversation.jsonl"
    assert "--model" not in argv
    env = environment(settings, Path("/state/w-1"), {"ANTHROPIC_MODEL": "from the host"}, "claude-b")
    assert env["ANTHROPIC_MODEL"] == "claude-b"
    assert "ANTHROPIC_MODEL" not in environment(settings, Path("/state/w-1"), {"ANTHROPIC_MODEL": "from the host"})


@pytest.mark.parametrize(
    ("method", "variable", "besides", "is_refused"),
    [
        (AuthMethod.BEDROCK, "AWS_SHARED_CREDENTIALS_FILE", {}, True),
        (AuthMethod.BEDROCK, "AWS_SHARED_CREDENTIALS_FILE", {"AWS_BEARER_TOKEN_BEDROCK": "t"}, False),
        (AuthMethod.VERTEX, "GOOGLE_APPLICATION_CREDENTIALS", {}, True),
        (AuthMethod.API_KEY, "GOOGLE_APPLICATION_CREDENTIALS", {"ANTHROPIC_API_KEY": "k"}, False),
    ],
)
async def test_a_login_that_is_in_a_file_gets_no_box(
    tmp_path: Path, method: AuthMethod, variable: str, besides: dict[str, str], is_refused: bool
) -> None:
    login = tmp_path / "login"
    login.touch()
    launch = LaunchSettings(Path("/opt/cli"), method, "claude-test", {variable: str(login), **besides})
    agents = AgentSettings(1, 0, 61_999, (), disk_bytes=2**20, memory_mib=512)

    _, complaint = await box_here(launch, agents)

    assert (complaint == LOGIN_IN_A_FILE) is is_refused
