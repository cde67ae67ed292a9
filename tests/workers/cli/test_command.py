from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.cli.command import build_chat_command, build_environment
from workers.core.settings import AgentSettings, AuthMethod, LaunchSettings
from workers.engine import CREDENTIALS_FILE_REASON, probe_sandbox

# A second copy of the allow-lists: a name that is added to the source must be added here deliberately.
HOST_VARIABLES = {
    *("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "ANTHROPIC_BASE_URL", "NODE_EXTRA_CA_CERTS"),
    *("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "no_proxy"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR"),
}
FIXED_VARIABLES = {
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
PROCESS_HOME = {"HOME": "/state/w-1", "CLAUDE_CONFIG_DIR": "/state/w-1/.claude"}
VARIABLES_BY_METHOD: dict[AuthMethod, dict[str, str]] = {
    AuthMethod.CLI: {},
    AuthMethod.API_KEY: PROCESS_HOME,
    AuthMethod.BEDROCK: {**PROCESS_HOME, "CLAUDE_CODE_USE_BEDROCK": "1"},
    AuthMethod.VERTEX: {**PROCESS_HOME, "CLAUDE_CODE_USE_VERTEX": "1"},
}
CREDENTIAL_FILES: dict[AuthMethod, dict[str, str]] = {
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
# Variables that could change a worker's behaviour, reveal a secret or load code into it.
HOSTILE = [
    *("NODE_OPTIONS", "LD_PRELOAD", "LD_LIBRARY_PATH", "BASH_ENV", "PYTHONPATH", "SHELL", "USER", "PWD", "IS_SANDBOX"),
    *("CLAUDE_CODE_EXTRA_BODY", "CLAUDE_CODE_MAX_OUTPUT_TOKENS", "ANTHROPIC_CUSTOM_HEADERS", "ANTHROPIC_MODEL"),
    *("ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX", "MAX_THINKING_TOKENS", "DEBUG"),
    *("API_KEY", "DATABASE_URL", "GITHUB_TOKEN", "TMPDIR", "HOME", "XDG_CONFIG_HOME", "DISABLE_COMPACT"),
    *sorted(set().union(*CREDENTIALS.values()) | HOST_VARIABLES),
]
names = st.sampled_from(HOSTILE) | st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True)
hosts = st.dictionaries(names, st.just("from the host"))
credentials = st.dictionaries(names, st.just("a secret"))


def settings(method: AuthMethod, credentials_env: dict[str, str] | None = None) -> LaunchSettings:
    return LaunchSettings(Path("/bin/claude"), method, "claude-test", credentials_env or {}, max_upstream_retries=2)


def build_env(
    method: AuthMethod, host: dict[str, str], credentials_env: dict[str, str] | None = None
) -> dict[str, str]:
    return build_environment(settings(method, credentials_env), Path("/state/w-1"), host)


@pytest.mark.parametrize("method", AuthMethod)
@given(host=hosts, secrets=credentials)
def test_passes_only_allowed_variables_to_a_worker(
    method: AuthMethod, host: dict[str, str], secrets: dict[str, str]
) -> None:
    expected = {name: value for name, value in host.items() if name in HOST_VARIABLES}
    if method is AuthMethod.CLI and "HOME" in host:
        expected["HOME"] = host["HOME"]
    elif "HOME" in host:
        expected |= CREDENTIAL_FILES[method]
    expected |= FIXED_VARIABLES | VARIABLES_BY_METHOD[method]
    expected |= {name: value for name, value in secrets.items() if name in CREDENTIALS[method] | NETWORK}
    assert build_env(method, host, secrets) == expected


NETWORK = HOST_VARIABLES - {"PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ"}


def test_uses_no_proxy_for_an_upstream_on_loopback() -> None:
    host = {"HTTP_PROXY": "http://proxy", "https_proxy": "http://proxy", "PATH": "/bin"}
    for url, passed in (("http://127.0.0.1:9", False), ("http://localhost:9", False), ("https://api.example", True)):
        env = build_env(AuthMethod.API_KEY, host, {"ANTHROPIC_BASE_URL": url})
        assert ("HTTP_PROXY" in env, "https_proxy" in env) == (passed, passed)


@pytest.mark.parametrize("method", AuthMethod)
def test_does_not_pass_credentials_of_the_host_environment(method: AuthMethod) -> None:
    host = dict.fromkeys(HOSTILE, "from the host")
    allowed = HOST_VARIABLES | ({"HOME"} if method is AuthMethod.CLI else set())
    assert {name for name, value in build_env(method, host).items() if value == "from the host"} == allowed


@pytest.mark.parametrize("method", AuthMethod)
def test_passes_the_home_directory_of_the_user_only_with_a_cli_login(method: AuthMethod) -> None:
    home_dir = build_env(method, {"HOME": "/home/me"})["HOME"]
    assert home_dir == ("/home/me" if method is AuthMethod.CLI else "/state/w-1")


@pytest.mark.parametrize("method", AuthMethod)
def test_uses_bare_mode_unless_the_login_is_that_of_the_cli(method: AuthMethod) -> None:
    assert ("--bare" in build_chat_command(settings(method))) == (method is not AuthMethod.CLI)


@pytest.mark.parametrize("method", AuthMethod)
def test_keeps_secrets_out_of_the_command_line(method: AuthMethod) -> None:
    secrets = dict.fromkeys(CREDENTIALS[method], "a secret")
    argv = build_chat_command(settings(method, secrets))
    assert argv == build_chat_command(settings(method))
    assert not any("secret" in argument for argument in argv)


def test_starts_a_chat_worker_without_tools_settings_files_and_stored_sessions() -> None:
    argv = build_chat_command(settings(AuthMethod.API_KEY))
    assert argv[0] == "/bin/claude"
    assert argv[argv.index("--tools") + 1] == ""
    assert argv[argv.index("--model") + 1] == "claude-test"
    assert {"--setting-sources=", "--strict-mcp-config", "--no-session-persistence"} <= set(argv)


def test_passes_the_number_of_upstream_retries_to_the_worker() -> None:
    no_retries = LaunchSettings(Path("/bin/claude"), AuthMethod.API_KEY, "m", max_upstream_retries=0)
    assert build_environment(no_retries, Path("/state"), {})["CLAUDE_CODE_MAX_RETRIES"] == "0"


def test_hides_credentials_in_the_repr_of_the_settings() -> None:
    assert "a secret" not in repr(settings(AuthMethod.API_KEY, {"ANTHROPIC_API_KEY": "a secret"}))


def test_passes_a_conversation_to_resume_in_a_file_and_its_model_in_the_environment() -> None:
    settings = LaunchSettings(Path("/bin/claude"), AuthMethod.API_KEY, "claude-a")
    argv = build_chat_command(settings, Path("/state/w-1/conversation.jsonl"))
    assert argv[argv.index("--resume") + 1] == "/state/w-1/conversation.jsonl"
    assert "--model" not in argv
    env = build_environment(settings, Path("/state/w-1"), {"ANTHROPIC_MODEL": "from the host"}, "claude-b")
    assert env["ANTHROPIC_MODEL"] == "claude-b"
    assert "ANTHROPIC_MODEL" not in build_environment(
        settings, Path("/state/w-1"), {"ANTHROPIC_MODEL": "from the host"}
    )


@pytest.mark.parametrize(
    ("method", "variable", "other_variables", "is_refused"),
    [
        (AuthMethod.BEDROCK, "AWS_SHARED_CREDENTIALS_FILE", {}, True),
        (AuthMethod.BEDROCK, "AWS_SHARED_CREDENTIALS_FILE", {"AWS_BEARER_TOKEN_BEDROCK": "t"}, False),
        (AuthMethod.VERTEX, "GOOGLE_APPLICATION_CREDENTIALS", {}, True),
        (AuthMethod.API_KEY, "GOOGLE_APPLICATION_CREDENTIALS", {"ANTHROPIC_API_KEY": "k"}, False),
    ],
)
async def test_refuses_a_sandbox_if_the_login_is_in_a_file(
    tmp_path: Path, method: AuthMethod, variable: str, other_variables: dict[str, str], is_refused: bool
) -> None:
    login = tmp_path / "login"
    login.touch()
    launch = LaunchSettings(Path("/opt/cli"), method, "claude-test", {variable: str(login), **other_variables})
    agents = AgentSettings(1, 0, 61_999, (), max_workspace_bytes=2**20, max_memory_mib=512)

    _, reason = await probe_sandbox(launch, agents)

    assert (reason == CREDENTIALS_FILE_REASON) is is_refused
