"""A worker's command line and environment: pure, and built from allow-lists alone.

Flags and variables are those seen on CLI 2.1.330; `claude_gateway/cli_facts` asserts the ones we rely on.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from workers import sandbox
from workers.record import Resumption
from workers.settings import AuthMethod, LaunchSettings

# What a child may take over from the gateway's own environment, whatever the login. Nothing else passes.
_PLACE = frozenset({"PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ"})
_NETWORK = frozenset(
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
_SWITCHES: Mapping[AuthMethod, Mapping[str, str]] = {
    AuthMethod.CLI: {},
    AuthMethod.API_KEY: {},
    AuthMethod.BEDROCK: {"CLAUDE_CODE_USE_BEDROCK": "1"},
    AuthMethod.VERTEX: {"CLAUDE_CODE_USE_VERTEX": "1"},
}
_ALWAYS: Mapping[str, str] = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_AUTOUPDATER": "1",
    # The caller's tools keep their own names (`weather`, not `mcp__caller__weather`).
    "CLAUDE_AGENT_SDK_MCP_NO_PREFIX": "1",
    # Without it an old model name is silently answered by the newest model.
    "CLAUDE_CODE_DISABLE_LEGACY_MODEL_REMAP": "1",
    # Too long a conversation must be an error, not a summary that the model reads in its place.
    "DISABLE_COMPACT": "1",
    "DISABLE_AUTO_COMPACT": "1",
    # Whether a conversation is too long is the upstream's to say: the CLI takes every image for 2,000 tokens.
    "CLAUDE_CODE_BLOCKING_LIMIT_OVERRIDE": "1000000000",
    # A refused or unavailable model must be an error of the caller's request, not another model's answer.
    "CLAUDE_CODE_DISABLE_MODEL_ACCESS_FALLBACK": "1",
    "CLAUDE_CODE_DISABLE_REFUSAL_FALLBACK": "1",
    "CLAUDE_CODE_DISABLE_REFUSAL_RETRY": "1",
    # Of the debug log only errors: other lines may name what a client sent.
    "CLAUDE_CODE_DEBUG_LOG_LEVEL": "error",
}


_ANY_WORKER = (
    "--print",
    *("--input-format", "stream-json"),
    *("--output-format", "stream-json"),
    "--verbose",
    # The debug log holds the upstream's own words of a refused request (`upstream_words`).
    "--debug-to-stderr",
    "--include-partial-messages",
    "--setting-sources=",
    "--strict-mcp-config",
    *("--permission-prompt-tool", "stdio"),
)

_UNRECORDED = ("--no-session-persistence",)
# Behind a call of a tool that was not offered the CLI would ask the model again, with an error for its result.
_ONE_TURN = ("--max-turns", "1")

# No command that an agent runs sees these.
_SECRETS = frozenset().union(*CREDENTIAL_VARIABLES.values()) | {
    "ANTHROPIC_BASE_URL",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "https_proxy",
    "http_proxy",
}
_AGENTS: Mapping[str, str] = {
    # A command in the background would outlive its job.
    "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
    # Tools of MCP servers are described to the model in full; by default it reads 4,096 characters (CLI 2.1.332).
    "CLAUDE_CODE_MAX_MCP_DESCRIPTION_LENGTH": "1000000",
    # What it has said stands on the disk, however it ends.
    "CLAUDE_CODE_EAGER_FLUSH": "1",
}

# The file of a conversation to take up, in the process's own directory. The CLI knows it by the ending.
CONVERSATION = "conversation.jsonl"


def command_line(settings: LaunchSettings, conversation: Path | None = None) -> tuple[str, ...]:
    """The argv of a chat worker: no built-in tool, no settings file, no session on disk.

    Nothing of a caller is in it: prompts go over stdin, and a conversation to take up, with its model, goes by a file
    and the environment.
    """
    start = ("--model", settings.default_model) if conversation is None else ("--resume", str(conversation))
    # `--bare` sends exactly what we send, with no environment reminder, but reads no OAuth login.
    bare = () if settings.auth_method is AuthMethod.CLI else ("--bare",)
    return (str(settings.cli_path), *_ANY_WORKER, *_UNRECORDED, *start, *_ONE_TURN, *("--tools", ""), *bare)


def agent_arguments(
    settings: LaunchSettings, tools: Sequence[str], *, boxed: bool, resumption: Resumption | None = None
) -> tuple[str, ...]:
    """The arguments of an agent, a worker with tools of Claude's own, which is never `--bare`: that knows only three.

    Settings, also those of the directory, are read from nowhere but here. Only in a box does it write its conversation
    down: elsewhere its commands could read that, and change it.
    """
    own = ("--settings", sandbox.settings(_SECRETS)) if boxed else _UNRECORDED
    start: tuple[str, ...] = ("--model", settings.default_model)
    if resumption is not None:
        start = ("--resume", resumption.session, "--resume-session-at", resumption.at)
    return (*_ANY_WORKER, *start, "--tools", ",".join(tools), "--restricted", *own)


def environment(
    settings: LaunchSettings, directory: Path, host: Mapping[str, str], model: str | None = None
) -> dict[str, str]:
    """The whole environment of a worker living in `directory`; `host` is the gateway's own, `model` that of a
    conversation to take up.

    Only with a `cli` login does the worker see the real HOME, where that login lives.
    """
    method = settings.auth_method
    inherited = {name: value for name, value in host.items() if name in _PLACE | _NETWORK}
    credentials = {
        name: value for name, value in settings.credentials.items() if name in CREDENTIAL_VARIABLES[method] | _NETWORK
    }
    if _is_loopback(credentials.get("ANTHROPIC_BASE_URL", "")):
        inherited = {name: value for name, value in inherited.items() if not name.lower().endswith("_proxy")}
    return {
        **inherited,
        **_home(method, directory, host.get("HOME")),
        "TMPDIR": str(directory),
        "CLAUDE_CODE_MAX_RETRIES": str(settings.upstream_retries),
        **_ALWAYS,
        **_SWITCHES[method],
        **credentials,
        **({"ANTHROPIC_MODEL": model} if model else {}),
    }


def agent_environment(
    settings: LaunchSettings,
    directory: Path,
    host: Mapping[str, str],
    box: sandbox.Box | None,
    model: str | None = None,
) -> dict[str, str]:
    """The whole environment of an agent; in its box it has a home of its own, whatever the login. `model` is that of a
    conversation to take up."""
    home = Path(sandbox.HOME) if box else directory
    return {**environment(settings, home, host, model), **_AGENTS, **(sandbox.variables(box) if box else {})}


def _home(method: AuthMethod, directory: Path, owner: str | None) -> dict[str, str]:
    """Where the child looks for files of its user. Only a `cli` login shows it the owner's HOME."""
    if method is AuthMethod.CLI:
        return {"HOME": owner} if owner else {}
    own = {"HOME": str(directory), "CLAUDE_CONFIG_DIR": str(directory / ".claude")}
    if owner and method is AuthMethod.BEDROCK:
        own |= {"AWS_CONFIG_FILE": f"{owner}/.aws/config", "AWS_SHARED_CREDENTIALS_FILE": f"{owner}/.aws/credentials"}
    if owner and method is AuthMethod.VERTEX:
        own |= {"CLOUDSDK_CONFIG": f"{owner}/.config/gcloud"}
    return own


def _is_loopback(url: str) -> bool:
    return (urlsplit(url).hostname or "") in ("localhost", "127.0.0.1", "::1")


def has_boxable_login(settings: LaunchSettings) -> bool:
    """True where the login is in variables, and so can be had by a process that runs as another user."""
    return settings.auth_method is not AuthMethod.CLI or "CLAUDE_CODE_OAUTH_TOKEN" in settings.credentials


def login_files(settings: LaunchSettings, host: Mapping[str, str]) -> tuple[Path, ...]:
    """Where a login of a cloud's may lie that is in no variable: no box shows these, for its commands could be led to
    them. Where none is there, the cloud's own machine may have the login, and a box is no hindrance."""
    seen = environment(settings, Path("/"), host)
    if seen.keys() & {"AWS_ACCESS_KEY_ID", "AWS_BEARER_TOKEN_BEDROCK"}:
        return ()
    named = [seen[name] for name in ("AWS_SHARED_CREDENTIALS_FILE", "GOOGLE_APPLICATION_CREDENTIALS") if name in seen]
    if "CLOUDSDK_CONFIG" in seen:
        named.append(f"{seen['CLOUDSDK_CONFIG']}/application_default_credentials.json")
    return tuple(map(Path, named))


def login_directory(settings: LaunchSettings, host: Mapping[str, str]) -> Path | None:
    """The directory of a `cli` login, None where the login is in variables."""
    return None if has_boxable_login(settings) else config_directory(settings.credentials, host)


def config_directory(credentials: Mapping[str, str], host: Mapping[str, str]) -> Path:
    """Where Claude Code keeps the login of this user, if it has one."""
    chosen = credentials.get("CLAUDE_CONFIG_DIR")
    return Path(chosen) if chosen else Path(host.get("HOME") or "/") / ".claude"
