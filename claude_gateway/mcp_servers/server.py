"""An MCP server as a key registered it, and how it is kept. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from claude_gateway.stores.damage import boolean, text, texts, texts_by_name

Kind = Literal["http", "sse"]


@dataclass(frozen=True, slots=True)
class Program:
    """A program on this machine, spoken to over its pipes. `env` may hold secrets: it is never shown."""

    line: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Address:
    """A server of the network; `kind` is streamable HTTP or the older one with events. `headers` may hold secrets, and
    so may the query of the URL: neither is ever shown."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    kind: Kind = "http"


@dataclass(frozen=True, slots=True)
class Server:
    name: str
    reach: Program | Address
    description: str = ""
    enabled: bool = True


def dump(server: Server) -> dict[str, Any]:
    """As JSON, secrets included."""
    match server.reach:
        case Program(line, env):
            reach: dict[str, Any] = {"line": list(line), "env": dict(env)}
        case Address(url, headers, kind):
            reach = {"url": url, "headers": dict(headers), "kind": kind}
    return {"description": server.description, "enabled": server.enabled, **reach}


def load(name: str, kept: Mapping[str, Any]) -> Server:
    """Raises one of `damage.UNREADABLE` for what `dump` did not write."""
    reach: Program | Address
    if "line" in kept:
        reach = Program(texts(kept["line"]), texts_by_name(kept["env"]))
    else:
        kind = kept["kind"]
        if kind not in get_args(Kind):
            raise ValueError(f"the kind {kind!r:.40}")
        reach = Address(text(kept["url"]), texts_by_name(kept["headers"]), kind)
    return Server(name, reach, text(kept["description"]), boolean(kept["enabled"]))
