"""Registration of an MCP server, and its JSON form in the database. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from claude_gateway.storage.row_reader import require_bool, require_text, require_text_map, require_texts

HttpTransportKind = Literal["http", "sse"]


@dataclass(frozen=True, slots=True)
class StdioConfig:
    """Configuration of a server that the gateway starts as a local process and reaches over its pipes.

    Attributes:
        command: Command line.
        env: Environment variables of the process. They may contain secrets. The gateway never shows them to clients.
    """

    command: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class HttpConfig:
    """Configuration of a server that the gateway reaches over HTTP.

    Attributes:
        url: URL of the server. The query of the URL may contain secrets. The gateway never shows the query to clients.
        headers: Headers of every request. They may contain secrets. The gateway never shows them to clients.
        transport_kind: `http` (streamable HTTP) or `sse` (the older transport with server-sent events).
    """

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    transport_kind: HttpTransportKind = "http"


@dataclass(frozen=True, slots=True)
class McpServer:
    """An MCP server that a client registered."""

    name: str
    transport: StdioConfig | HttpConfig
    description: str = ""
    enabled: bool = True


def server_to_json(server: McpServer) -> dict[str, Any]:
    """Return the JSON object in which the database stores a server, including the server's secrets."""
    match server.transport:
        case StdioConfig(command, env):
            transport: dict[str, Any] = {"line": list(command), "env": dict(env)}
        case HttpConfig(url, headers, kind):
            transport = {"url": url, "headers": dict(headers), "kind": kind}
    return {"description": server.description, "enabled": server.enabled, **transport}


def server_from_json(name: str, stored: Mapping[str, Any]) -> McpServer:
    """Convert a JSON object that `server_to_json` returned back to a server.

    Raises:
        KeyError: A field is missing.
        TypeError: A field has the wrong type.
        ValueError: A field has an invalid value.
    """
    transport: StdioConfig | HttpConfig
    if "line" in stored:
        transport = StdioConfig(require_texts(stored["line"]), require_text_map(stored["env"]))
    else:
        kind = stored["kind"]
        if kind not in get_args(HttpTransportKind):
            raise ValueError(f"the kind {kind!r:.40}")
        transport = HttpConfig(require_text(stored["url"]), require_text_map(stored["headers"]), kind)
    return McpServer(name, transport, require_text(stored["description"]), require_bool(stored["enabled"]))
