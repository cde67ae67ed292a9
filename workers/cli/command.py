"""Command lines and environments of `claude` processes. No I/O.

A process gets only the environment variables that this module lists. The flags and variables are those of CLI 2.1.330.
`claude_gateway/devtools/cli_contract` checks the flags and variables that the gateway needs.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from workers.conversation.resume_index import ResumePoint
from workers.core.settings import AuthMethod, LaunchSettings
from workers.sandbox import cli_sandbox

# Variables that each process inherits from the environment of the gateway, whatever login it uses. It inherits no
# others.
_SYSTEM_VARIABLES = frozenset({"PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ"})
_NETWORK_VARIABLES = frozenset(
    {
        "ANTHROPIC_BASE_URL",
        "HTTPS_PROXY",
        "HTTP_PROXY",
        "NO_PROXY",
        "https_proxy",
        "http_proxy",
        "no_proxy",
        "NODE_EXTRA_CA_CERTS",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
    }
)
CREDENTIAL_VARIABLES: Mapping[AuthMethod, frozenset[str]] = {
    AuthMethod.CLI: frozenset({"CLAUDE_CONFIG_DIR", "CLAUDE_CODE_OAUTH_TOKEN"}),
    AuthMethod.API_KEY: frozenset({"ANTHROPIC_API_KEY"}),
    AuthMethod.BEDROCK: frozenset(
        {
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "AWS_REGION",
            "AWS_PROFILE",
            "AWS_CONFIG_FILE",
            "AWS_SHARED_CREDENTIALS_FILE",
            "AWS_BEARER_TOKEN_BEDROCK",
            "ANTHROPIC_BEDROCK_BASE_URL",
        }
    ),
    AuthMethod.VERTEX: frozenset(
        {
            "ANTHROPIC_VERTEX_PROJECT_ID",
            "CLOUD_ML_REGION",
            "GOOGLE_APPLICATION_CREDENTIALS",
            "ANTHROPIC_VERTEX_BASE_URL",
        }
    ),
}
_PROVIDER_ENV: Mapping[AuthMethod, Mapping[str, str]] = {
    AuthMethod.CLI: {},
    AuthMethod.API_KEY: {},
    AuthMethod.BEDROCK: {"CLAUDE_CODE_USE_BEDROCK": "1"},
    AuthMethod.VERTEX: {"CLAUDE_CODE_USE_VERTEX": "1"},
}
_BASE_ENV: Mapping[str, str] = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_AUTOUPDATER": "1",
    # With this variable, client tools keep their names (`weather` instead of `mcp__caller__weather`).
    "CLAUDE_AGENT_SDK_MCP_NO_PREFIX": "1",
    # Without this variable, the CLI silently replaces an old model name by the newest model.
    "CLAUDE_CODE_DISABLE_LEGACY_MODEL_REMAP": "1",
    # If a conversation is too long, the client must get an error. The CLI must not replace the conversation by a
    # summary.
    "DISABLE_COMPACT": "1",
    "DISABLE_AUTO_COMPACT": "1",
    # The upstream decides whether a conversation is too long. The CLI itself counts 2,000 tokens for every image.
    "CLAUDE_CODE_BLOCKING_LIMIT_OVERRIDE": "1000000000",
    # If the upstream rejects a model or the model is unavailable, the client must get an error, not a reply of another
    # model.
    "CLAUDE_CODE_DISABLE_MODEL_ACCESS_FALLBACK": "1",
    "CLAUDE_CODE_DISABLE_REFUSAL_FALLBACK": "1",
    "CLAUDE_CODE_DISABLE_REFUSAL_RETRY": "1",
    # Log only errors to the debug log, because other lines may quote the client's request.
    "CLAUDE_CODE_DEBUG_LOG_LEVEL": "error",
}

_COMMON_ARGUMENTS = (
    "--print",
    *("--input-format", "stream-json"),
    *("--output-format", "stream-json"),
    "--verbose",
    # The debug log contains the upstream's message about a rejected request (`workers.cli.upstream_errors`).
    "--debug-to-stderr",
    "--include-partial-messages",
    "--setting-sources=",
    "--strict-mcp-config",
    *("--permission-prompt-tool", "stdio"),
)

_NO_PERSISTENCE_ARGUMENTS = ("--no-session-persistence",)
# Without this limit, the CLI would send another request after a call of an unknown tool, with an error as the result.
_SINGLE_TURN_ARGUMENTS = ("--max-turns", "1")

# Variables that the CLI hides from the commands that an agent runs.
_SECRET_VARIABLES = frozenset().union(*CREDENTIAL_VARIABLES.values()) | {
    "ANTHROPIC_BASE_URL",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "https_proxy",
    "http_proxy",
}
_AGENT_ENV: Mapping[str, str] = {
    # Forbid background commands, because they would still run when the job has ended.
    "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
    # The model should read the full descriptions of MCP tools. The default limit is 4,096 characters (CLI 2.1.332).
    "CLAUDE_CODE_MAX_MCP_DESCRIPTION_LENGTH": "1000000",
    # Write the transcript to the disk at once, so that it is complete even if the process is killed.
    "CLAUDE_CODE_EAGER_FLUSH": "1",
}

# The name of the file with the conversation to resume. The file is in the process directory, and the CLI recognizes it
# by the extension.
RESUME_FILE_NAME = "conversation.jsonl"


def build_chat_command(settings: LaunchSettings, resume_path: Path | None = None) -> tuple[str, ...]:
    """Return the command line of a chat worker: no built-in tools, no settings file and no session on disk.

    The command line contains no data of a client. The gateway sends prompts over stdin. It passes a conversation to
    resume in a file, and the model of that conversation in the environment.
    """
    start = ("--model", settings.default_model) if resume_path is None else ("--resume", str(resume_path))
    # With `--bare`, the CLI adds nothing to the upstream requests, not even the reminder about the environment. But it
    # then reads no OAuth login, so `--bare` does not work with a `cli` login.
    bare = () if settings.auth_method is AuthMethod.CLI else ("--bare",)
    return (
        str(settings.cli_path),
        *_COMMON_ARGUMENTS,
        *_NO_PERSISTENCE_ARGUMENTS,
        *start,
        *_SINGLE_TURN_ARGUMENTS,
        *("--tools", ""),
        *bare,
    )


def build_agent_arguments(
    settings: LaunchSettings, tools: Sequence[str], *, sandboxed: bool, resume_point: ResumePoint | None = None
) -> tuple[str, ...]:
    """Return the command-line arguments of an agent, which is a worker with built-in tools.

    An agent never runs with `--bare`, because that mode has only three tools. An agent reads no settings files, not
    even those in its workspace. It records its transcript only in a sandbox: without a sandbox, the commands that it
    runs could read and change the transcript.
    """
    storage = (
        ("--settings", cli_sandbox.build_cli_settings(_SECRET_VARIABLES)) if sandboxed else _NO_PERSISTENCE_ARGUMENTS
    )
    start: tuple[str, ...] = ("--model", settings.default_model)
    if resume_point is not None:
        start = ("--resume", resume_point.cli_session_id, "--resume-session-at", resume_point.message_uuid)
    return (*_COMMON_ARGUMENTS, *start, "--tools", ",".join(tools), "--restricted", *storage)


def build_environment(
    settings: LaunchSettings, process_dir: Path, host_env: Mapping[str, str], model: str | None = None
) -> dict[str, str]:
    """Return the complete environment of a chat worker.

    The worker gets the HOME of the gateway's user only with a `cli` login, because that login is stored there.

    Args:
        settings: The settings of the worker.
        process_dir: The directory of the process.
        host_env: The environment of the gateway.
        model: The model of the conversation to resume, or None for a new conversation.
    """
    method = settings.auth_method
    inherited = {name: value for name, value in host_env.items() if name in _SYSTEM_VARIABLES | _NETWORK_VARIABLES}
    credentials = {
        name: value
        for name, value in settings.credentials.items()
        if name in CREDENTIAL_VARIABLES[method] | _NETWORK_VARIABLES
    }
    if _is_loopback_url(credentials.get("ANTHROPIC_BASE_URL", "")):
        inherited = {name: value for name, value in inherited.items() if not name.lower().endswith("_proxy")}
    return {
        **inherited,
        **_build_home_variables(method, process_dir, host_env.get("HOME")),
        "TMPDIR": str(process_dir),
        "CLAUDE_CODE_MAX_RETRIES": str(settings.max_upstream_retries),
        **_BASE_ENV,
        **_PROVIDER_ENV[method],
        **credentials,
        **({"ANTHROPIC_MODEL": model} if model else {}),
    }


def build_agent_environment(
    settings: LaunchSettings,
    process_dir: Path,
    host_env: Mapping[str, str],
    sandbox_spec: cli_sandbox.SandboxSpec | None,
    model: str | None = None,
) -> dict[str, str]:
    """Return the complete environment of an agent.

    In a sandbox, an agent has its own home directory, whatever login it uses.

    Args:
        settings: The settings of the worker.
        process_dir: The directory of the process.
        host_env: The environment of the gateway.
        sandbox_spec: The limits of the sandbox, or None if the agent runs without a sandbox.
        model: The model of the conversation to resume, or None for a new conversation.
    """
    home_dir = Path(cli_sandbox.CLI_SANDBOX_HOME) if sandbox_spec else process_dir
    return {
        **build_environment(settings, home_dir, host_env, model),
        **_AGENT_ENV,
        **(cli_sandbox.build_cli_sandbox_env(sandbox_spec) if sandbox_spec else {}),
    }


def _build_home_variables(auth_method: AuthMethod, process_dir: Path, user_home: str | None) -> dict[str, str]:
    """Return the variables with which the CLI finds the files of a user.

    With a `cli` login, HOME is the home directory of the gateway's user. With any other login, HOME is the directory of
    the process.
    """
    if auth_method is AuthMethod.CLI:
        return {"HOME": user_home} if user_home else {}
    variables = {"HOME": str(process_dir), "CLAUDE_CONFIG_DIR": str(process_dir / ".claude")}
    if user_home and auth_method is AuthMethod.BEDROCK:
        variables |= {
            "AWS_CONFIG_FILE": f"{user_home}/.aws/config",
            "AWS_SHARED_CREDENTIALS_FILE": f"{user_home}/.aws/credentials",
        }
    if user_home and auth_method is AuthMethod.VERTEX:
        variables |= {"CLOUDSDK_CONFIG": f"{user_home}/.config/gcloud"}
    return variables


def _is_loopback_url(url: str) -> bool:
    return (urlsplit(url).hostname or "") in ("localhost", "127.0.0.1", "::1")


def has_env_credentials(settings: LaunchSettings) -> bool:
    """Return whether environment variables contain the login, so that a process of another user can use it too."""
    return settings.auth_method is not AuthMethod.CLI or "CLAUDE_CODE_OAUTH_TOKEN" in settings.credentials


def find_credential_files(settings: LaunchSettings, host_env: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the paths of files that may contain a cloud login, or an empty tuple if variables contain the login.

    The gateway mounts these files in no sandbox, because a client could make an agent read them. If none of the files
    exists, the cloud's virtual machine itself may provide the login, which also works in a sandbox.
    """
    env = build_environment(settings, Path("/"), host_env)
    if env.keys() & {"AWS_ACCESS_KEY_ID", "AWS_BEARER_TOKEN_BEDROCK"}:
        return ()
    files = [env[name] for name in ("AWS_SHARED_CREDENTIALS_FILE", "GOOGLE_APPLICATION_CREDENTIALS") if name in env]
    if "CLOUDSDK_CONFIG" in env:
        files.append(f"{env['CLOUDSDK_CONFIG']}/application_default_credentials.json")
    return tuple(map(Path, files))


def find_login_directory(settings: LaunchSettings, host_env: Mapping[str, str]) -> Path | None:
    """Return the directory that contains a `cli` login, or None if environment variables contain the login."""
    return None if has_env_credentials(settings) else find_config_directory(settings.credentials, host_env)


def find_config_directory(credentials: Mapping[str, str], host_env: Mapping[str, str]) -> Path:
    """Return the directory in which Claude Code stores the login of this user."""
    config_dir = credentials.get("CLAUDE_CONFIG_DIR")
    return Path(config_dir) if config_dir else Path(host_env.get("HOME") or "/") / ".claude"
